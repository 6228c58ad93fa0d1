/* config_text.h - how people write durations, sizes and expressions, and how near two names are.
 *
 * Pure functions of text. Thread: any. Memory: a regex is owned by the caller.
 */
#ifndef STARLING_SERVER_CONFIG_TEXT_H
#define STARLING_SERVER_CONFIG_TEXT_H

#include "channels/base/buf.h"

#include <regex.h>

/* Go-style durations: 25s, 1h30m, 1.5s, 500ms, 0; also days (d). false: not one, or finer than a millisecond.
 */
bool duration_from_text(struct str text, uint64_t *out_ms);
void duration_print(uint64_t ms, struct buf *out);

/* A number of bytes, or with KiB, MiB, GiB or B behind it. */
bool bytes_from_text(struct str text, uint64_t *out);
void bytes_print(uint64_t bytes, struct buf *out);

/* Returns an owned expression, or NULL: not a POSIX extended one, with back-references (their matching time
 * has no bound), or with repetitions that would take much memory; `why` (may be NULL) says which. */
regex_t *regex_from_text(struct str text, struct buf *why);
const char *regex_pattern(const regex_t *regex);
void regex_free(regex_t *regex);

/* Appends `text` in single quotes, cut at 100 bytes, unprintable bytes as '?'. */
void append_quoted(struct buf *out, struct str text);

/* The number of edits (insert, delete, replace, swap) from `a` to `b`; more than `limit` is limit + 1. Texts
 * over 128 bytes are never near. */
size_t edit_distance(struct str a, struct str b, size_t limit);

#endif
