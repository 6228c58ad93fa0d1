#include "server/users.h"

#include "channels/base/must.h"
#include "channels/base/table.h"

#include <stdlib.h>

struct user {
    UT_hash_handle hh;
    struct link sessions;
    size_t name_len;
    char name[];
};

struct users {
    struct user *table;
};

struct users *users_new(void)
{
    return calloc(1, sizeof(struct users));
}

void users_free(struct users *users)
{
    must(users == NULL || users->table == NULL);
    free(users);
}

static struct user *find(struct users *users, struct str name)
{
    struct user *user = NULL;
    const char *key = name.len > 0 ? name.at : ""; /* memcmp() takes no NULL, not even for nothing */
    HASH_FIND(hh, users->table, key, name.len, user);
    return user;
}

struct user *users_enter(struct users *users, struct str name, struct link *link)
{
    struct user *user = find(users, name);
    if (user == NULL) {
        user = calloc(1, sizeof *user + name.len);
        if (user == NULL) {
            return NULL;
        }
        list_init(&user->sessions);
        user->name_len = name.len;
        if (name.len > 0) {
            memcpy(user->name, name.at, name.len);
        }
        HASH_ADD_KEYPTR(hh, users->table, user->name, user->name_len, user);
        if (user->hh.tbl == NULL) {
            free(user);
            return NULL;
        }
    }
    list_push_back(&user->sessions, link);
    return user;
}

void users_leave(struct users *users, struct user *user, struct link *link)
{
    list_remove(link);
    if (list_is_empty(&user->sessions)) {
        HASH_DEL(users->table, user);
        free(user);
    }
}

struct str user_name(const struct user *user)
{
    return str_make(user->name, user->name_len);
}

struct link *users_find(struct users *users, struct str name)
{
    struct user *user = find(users, name);
    return user == NULL ? NULL : &user->sessions;
}

void users_each(const struct users *users, void (*visit)(void *context, struct str name), void *context)
{
    struct user *user, *following;
    HASH_ITER(hh, users->table, user, following)
    {
        visit(context, user_name(user));
    }
}

size_t users_count(const struct users *users)
{
    return HASH_COUNT(users->table);
}
