/* config_value.h - one option: its row, and how text or JSON becomes its value and back.
 *
 * Internal to server/config*.c. A row describes a field of some struct by type and offset, so that options of
 * the server and of a namespace are read, checked, printed and freed by the same few functions.
 *
 * Thread: any.   Memory: texts, lists and expressions are owned by the field that holds them and freed by
 * option_release(), or when the field is set again.
 */
#ifndef STARLING_SERVER_CONFIG_VALUE_H
#define STARLING_SERVER_CONFIG_VALUE_H

#include "channels/base/buf.h"
#include "server/config.h"

#include <jansson.h>

enum value_type {
    VALUE_boolean,
    VALUE_uint,
    VALUE_ms,
    VALUE_bytes,
    VALUE_unix_time,
    VALUE_text,
    VALUE_secret,
    VALUE_list,
    VALUE_letter,
    VALUE_regex,
    VALUE_headers,
    VALUE_transforms,
    VALUE_keys,
    /* The rest are enums of the same names. */
    VALUE_log_level,
    VALUE_log_format,
    VALUE_engine_type,
    VALUE_error_mode,
    VALUE_limit_mode,
    VALUE_data_format,
    VALUE_recovery_mode,
    VALUE_overflow_policy,
    VALUE_durability,
};

struct option_row {
    const char *path;
    const char *preset; /* the default, as one would write it */
    const char *meaning;
    enum value_type type;
    size_t offset; /* of the field in its struct */
    uint64_t min;
    uint64_t max;
};

/* Sets the field of `base` from `text` or `value`. BAD_REQUEST: the field keeps what it had, and `why` (may
 * be NULL) got what is wrong, as the end of a sentence that begins with the option. The value is quoted in it
 * unless the option is a secret. NO_MEMORY. */
enum status option_set_text(const struct option_row *row, void *base, struct str text, struct buf *why);
enum status option_set_json(const struct option_row *row, void *base, const json_t *value, struct buf *why);

/* Sets the field to its default. false: no memory. */
bool option_set_preset(const struct option_row *row, void *base);

void option_release(const struct option_row *row, void *base);

/* Appends the value as one would write it in a file: JSON, secrets as "***". */
void option_print(const struct option_row *row, const void *base, struct buf *out);

/* Does the field hold its default? */
bool option_is_preset(const struct option_row *row, const void *base);

/* Appends what values the option takes: "1s to 1h", "true or false"; nothing for free texts. */
void option_print_range(const struct option_row *row, struct buf *out);

/* May NAME_FILE give the value as the content of a file? */
bool option_is_text(const struct option_row *row);

#endif
