/* users.h - the sessions of one worker by user, for everything that is addressed to a user.
 *
 * Thread: the worker's.   Memory: one entry per user with a session here; anonymous sessions share the empty
 * name.
 */
#ifndef STARLING_SERVER_USERS_H
#define STARLING_SERVER_USERS_H

#include "channels/base/list.h"
#include "channels/base/str.h"

struct user;
struct users;

/* NULL without memory. */
struct users *users_new(void);
/* All sessions must have left. */
void users_free(struct users *users);

/* Adds a session's link under `name`. Returns the entry, borrowed, whose name lives as long as the session is
 * listed; NULL without memory. */
struct user *users_enter(struct users *users, struct str name, struct link *link);
void users_leave(struct users *users, struct user *user, struct link *link);

struct str user_name(const struct user *user);

/* The links of a user's sessions; NULL when there are none. */
struct link *users_find(struct users *users, struct str name);

/* Walks all users in no particular order. */
void users_each(const struct users *users, void (*visit)(void *context, struct str name), void *context);

size_t users_count(const struct users *users);

#endif
