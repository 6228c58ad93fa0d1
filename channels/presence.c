#include "channels/presence.h"

#include "channels/base/must.h"
#include "channels/base/table.h"

#include <stdlib.h>

struct presence_user {
    UT_hash_handle hh;
    uint32_t client_count;
    size_t len;
    char name[];
};

struct presence_client {
    UT_hash_handle hh;
    struct presence_user *user;
    struct str client, info; /* slices of bytes[] */
    char bytes[];
};

/* An anonymous user is an empty text, which may have no address; comparing wants one. */
static const char *key_at(struct str key)
{
    return key.at == NULL ? "" : key.at;
}

static struct presence_client *find_client(const struct presence *presence, struct str client)
{
    struct presence_client *found = NULL;
    HASH_FIND(hh, presence->clients, key_at(client), client.len, found);
    return found;
}

static struct presence_client *client_new(struct str client, struct str info)
{
    struct presence_client *entry = malloc(sizeof *entry + client.len + info.len);
    if (entry == NULL) {
        return NULL;
    }
    *entry = (struct presence_client){
        .client = {.at = entry->bytes, .len = client.len},
        .info = {.at = entry->bytes + client.len, .len = info.len},
    };
    if (client.len > 0) {
        memcpy(entry->bytes, client.at, client.len);
    }
    if (info.len > 0) {
        memcpy(entry->bytes + client.len, info.at, info.len);
    }
    return entry;
}

/* Counts one more client of `user`; NULL without memory. */
static struct presence_user *user_ref(struct presence *presence, struct str user)
{
    struct presence_user *entry = NULL;
    HASH_FIND(hh, presence->users, key_at(user), user.len, entry);
    if (entry == NULL) {
        entry = malloc(sizeof *entry + user.len);
        if (entry == NULL) {
            return NULL;
        }
        *entry = (struct presence_user){.len = user.len};
        if (user.len > 0) {
            memcpy(entry->name, user.at, user.len);
        }
        HASH_ADD_KEYPTR(hh, presence->users, entry->name, user.len, entry);
        if (!table_added(entry, hh)) {
            free(entry);
            return NULL;
        }
    }
    entry->client_count++;
    return entry;
}

static void user_unref(struct presence *presence, struct presence_user *user)
{
    must(user->client_count > 0);
    if (--user->client_count == 0) {
        HASH_DEL(presence->users, user);
        free(user);
    }
}

static void client_drop(struct presence *presence, struct presence_client *entry)
{
    HASH_DEL(presence->clients, entry);
    user_unref(presence, entry->user);
    free(entry);
}

bool presence_add(struct presence *presence, struct str client, struct str user, struct str info)
{
    struct presence_client *entry = client_new(client, info);
    if (entry == NULL) {
        return false;
    }
    entry->user = user_ref(presence, user);
    if (entry->user == NULL) {
        free(entry);
        return false;
    }
    struct presence_client *known = find_client(presence, client);
    HASH_ADD_KEYPTR(hh, presence->clients, entry->client.at, entry->client.len, entry);
    if (!table_added(entry, hh)) {
        user_unref(presence, entry->user);
        free(entry);
        return false;
    }
    if (known != NULL) {
        client_drop(presence, known);
    }
    return true;
}

void presence_remove(struct presence *presence, struct str client)
{
    struct presence_client *entry = find_client(presence, client);
    if (entry != NULL) {
        client_drop(presence, entry);
    }
}

uint32_t presence_client_count(const struct presence *presence)
{
    return HASH_COUNT(presence->clients);
}

uint32_t presence_user_count(const struct presence *presence)
{
    return HASH_COUNT(presence->users);
}

static struct presence_client *next_client(const struct presence_client *entry)
{
    return entry->hh.next;
}

static struct str copy_text(char **at, struct str s)
{
    struct str copy = {.at = *at, .len = s.len};
    memcpy(*at, s.at, s.len); /* presence owns its texts: never NULL */
    *at += s.len;
    return copy;
}

enum status presence_list(const struct presence *presence, uint32_t limit, struct presence_entry **entries,
                          size_t *count)
{
    size_t wanted = presence_client_count(presence);
    if (limit > 0 && wanted > limit) {
        wanted = limit;
    }
    *entries = NULL;
    *count = 0;
    if (wanted == 0) {
        return STATUS_OK;
    }
    size_t bytes = wanted * sizeof **entries;
    const struct presence_client *entry = presence->clients;
    for (size_t i = 0; i < wanted; i++, entry = next_client(entry)) {
        bytes += entry->client.len + entry->info.len;
    }
    struct presence_entry *list = malloc(bytes);
    if (list == NULL) {
        return STATUS_NO_MEMORY;
    }
    char *at = (char *)(list + wanted);
    entry = presence->clients;
    for (size_t i = 0; i < wanted; i++, entry = next_client(entry)) {
        list[i].client = copy_text(&at, entry->client);
        list[i].info = copy_text(&at, entry->info);
    }
    *entries = list;
    *count = wanted;
    return STATUS_OK;
}

void presence_release(struct presence *presence)
{
    struct presence_client *entry, *following;
    HASH_ITER(hh, presence->clients, entry, following)
    {
        client_drop(presence, entry);
    }
    must(presence->users == NULL);
}
