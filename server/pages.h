/* pages.h - the built-in pages over HTTP: embedded files, looked up by exact name.
 *
 * No path of a client ever reaches a file system (THREATS H40). Every answer carries the content security
 * policy of THREATS H41; files with a hash in their name are immutable, the others are validated by ETag.
 *
 * Thread: the worker's.
 */
#ifndef STARLING_SERVER_PAGES_H
#define STARLING_SERVER_PAGES_H

#include "channels/base/str.h"

struct exchange;

bool pages_exist(struct str path);
void pages_handle(struct exchange *exchange);

#endif
