/* config_keys.h - options whose value is a set of secrets by version: {"1": "…", "2": "…"}.
 *
 * Internal to server/config*.c. Secrets are never printed and appear in no message. Thread: any.   Memory:
 * the field owns its texts until signed_cookie_keys_release().   Limits: CONFIG_COOKIE_KEYS_MAX.
 */
#ifndef STARLING_SERVER_CONFIG_KEYS_H
#define STARLING_SERVER_CONFIG_KEYS_H

#include "channels/base/buf.h"
#include "channels/status.h"
#include "server/signed_cookie.h"

#include <jansson.h>

enum { CONFIG_COOKIE_KEYS_MAX = 32 };

/* Statuses and `why` as option_set_json(): BAD_REQUEST leaves the field as it was. */
enum status signed_cookie_keys_set(struct signed_cookie_keys *field, const json_t *object, struct buf *why);
/* The versions, with *** for the secrets. */
void signed_cookie_keys_print(const struct signed_cookie_keys *field, struct buf *out);
void signed_cookie_keys_release(struct signed_cookie_keys *field);
/* Appends a copy. false: no memory; the set is as it was. */
bool signed_cookie_keys_add(struct signed_cookie_keys *field, uint32_t version, struct str secret);

#endif
