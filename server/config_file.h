/* config_file.h - the bytes of a configuration file as one tree, whichever language they are in.
 *
 * Internal to server/config*.c. JSON is read as it is (RFC 8259), keys that occur twice are refused. Of YAML
 * 1.1 only what has one obvious meaning: mappings, sequences and scalars. Anchors, aliases, merge keys, tags,
 * several documents and keys that occur twice are refused, since a file that means something else than it
 * says is worse than none. Plain true, false, null, ~ and decimal integers are typed; all other scalars are
 * texts.
 *
 * Thread: any.   Limits: CONFIG_FILE_BYTES_MAX, and for YAML CONFIG_DEPTH_MAX.
 */
#ifndef STARLING_SERVER_CONFIG_FILE_H
#define STARLING_SERVER_CONFIG_FILE_H

#include "channels/base/buf.h"
#include "server/config.h"

#include <jansson.h>

/* Returns an owned object, or NULL: `why` got what is wrong and in which line. Nothing of the content is
 * repeated there: it may be a secret. An empty YAML file is an empty object. */
json_t *config_parse(enum config_format format, struct str text, struct buf *why);

/* Reads a whole file of at most `bytes_max`. false: `why` got the reason. *is_public: others may read it. */
bool config_read_file(const char *path, size_t bytes_max, struct buf *out, bool *is_public, struct buf *why);

/* By the name's ending: .json, .yaml, .yml. false: another one. */
bool config_format_of(const char *path, enum config_format *out);

#endif
