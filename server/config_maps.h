/* config_maps.h - options whose value is an object or a list of objects: header lines, and what clients get
 * for an HTTP status.
 *
 * Internal to server/config*.c. Values of headers are secrets as often as not, so they are never printed and
 * appear in no message. Thread: any.   Memory: the field owns its texts until its release function.
 */
#ifndef STARLING_SERVER_CONFIG_MAPS_H
#define STARLING_SERVER_CONFIG_MAPS_H

#include "channels/base/buf.h"
#include "server/config.h"

#include <jansson.h>

void str_list_release(struct str_list *list);
/* Appends a copy. false: no memory; the list is as it was. */
bool str_list_append(struct str_list *list, struct str text);

/* {"Name": "value", …} becomes "Name: value" each. Statuses and `why` as option_set_json(): BAD_REQUEST
 * leaves the field as it was. */
enum status headers_set(struct str_list *field, const json_t *object, struct buf *why);
/* The names, with *** for the values. */
void headers_print(const struct str_list *field, struct buf *out);

/* [{"status_code": 401, "to_disconnect": {"code": 4501, "reason": "…"}}, {"status_code": 404, "to_error":
 * {"code": 404, "message": "…", "temporary": false}}, …] */
enum status transforms_set(struct proxy_transforms *field, const json_t *list, struct buf *why);
void transforms_print(const struct proxy_transforms *field, struct buf *out);
void transforms_release(struct proxy_transforms *field);

#endif
