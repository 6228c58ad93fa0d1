/* pem.h - certificates and keys as the configuration gives them: a file's path, PEM text, or base64 of PEM
 * text.
 *
 * Thread: main.   Memory: owned by the caller, wiped by pem_free().
 */
#ifndef STARLING_SERVER_PEM_H
#define STARLING_SERVER_PEM_H

#include "channels/base/buf.h"

enum { PEM_BYTES_MAX = 1 << 20 };

/* Loads into *out, NUL-terminated. false: `why` got the option and what is wrong, never the content. */
bool pem_load(const char *value, const char *option, char **out, struct buf *why);
/* NULL is fine. */
void pem_free(char *pem);

#endif
