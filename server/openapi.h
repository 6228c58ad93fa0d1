/* openapi.h - the description of the server API (server/openapi.yaml), embedded and served at /openapi.yaml.
 *
 * Thread: the worker's.
 */
#ifndef STARLING_SERVER_OPENAPI_H
#define STARLING_SERVER_OPENAPI_H

struct exchange;

void openapi_handle(struct exchange *exchange);

#endif
