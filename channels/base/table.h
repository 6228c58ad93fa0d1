/* table.h - hash tables: uthash with our keyed hash, and without its exit() when memory runs out.
 *
 * Include this, never <uthash.h>. An insertion that finds no memory leaves the element unlinked: test with
 * table_added().
 */
#ifndef STARLING_BASE_TABLE_H
#define STARLING_BASE_TABLE_H

#include "channels/base/hash.h"

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes((keyptr), (keylen)))

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <uthash.h>
#pragma GCC diagnostic pop

/* After HASH_ADD*: did `element`, whose handle is the member `handle`, get into its table? */
#define table_added(element, handle) ((element)->handle.tbl != NULL)

#endif
