/* presence.h - who is in one channel, kept at the channel's home.
 *
 * Clients by their ID, and users with the number of their clients, so that joining, leaving and counting cost
 * the same in a channel of ten and of a hundred thousand (THREATS J12). A list is made only when it is asked
 * for, and cut at the limit of who asks.
 *
 * Thread: the home worker's.   Memory: one allocation a client, one a user; nothing in an empty channel.
 */
#ifndef STARLING_CHANNELS_PRESENCE_H
#define STARLING_CHANNELS_PRESENCE_H

#include "channels/op.h"

struct presence_client;
struct presence_user;

/* A zeroed struct is an empty presence. */
struct presence {
    struct presence_client *clients;
    struct presence_user *users;
};

/* Adds a client, or replaces what is known of it. Everything is copied. false: no memory, nothing changed. */
bool presence_add(struct presence *presence, struct str client, struct str user, struct str info);

/* Takes a client out; it is no error when it is not there. */
void presence_remove(struct presence *presence, struct str client);

uint32_t presence_client_count(const struct presence *presence);
uint32_t presence_user_count(const struct presence *presence);

/* The first `limit` clients (0: all), longest here first. *entries is one owned allocation with its texts;
 * NULL where there are none. STATUS_OK or STATUS_NO_MEMORY. */
enum status presence_list(const struct presence *presence, uint32_t limit, struct presence_entry **entries,
                          size_t *count);

/* Back to an empty presence. */
void presence_release(struct presence *presence);

#endif
