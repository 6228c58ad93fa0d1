/* http_field.h - one header line, and whether it may be written (RFC 9110 section 5).
 *
 * Thread: any; pure.
 */
#ifndef STARLING_SERVER_HTTP_FIELD_H
#define STARLING_SERVER_HTTP_FIELD_H

#include "channels/base/str.h"

struct http_field {
    struct str name, value;
};

/* The name is a token, the value is not blank and has no control characters: nothing in them can end the line
 * and begin another. */
bool http_field_is_safe(const struct http_field *field);

#endif
