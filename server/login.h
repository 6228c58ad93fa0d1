/* login.h - the small sign-in: one administrator by password, and with --dev anybody by a display name.
 *
 *     GET  /session       who one is, and the XSRF token for what follows
 *     POST /session       form: user and password, or with --dev name; next: own path to go to afterwards
 *     POST /session/end   signs out
 *
 * A session is a signed cookie (signed_cookie.h) and nothing else: no store, and every node of a cluster with
 * the same session.keys knows it. It lasts session.max_age; changing the administrator's password or name, or
 * taking the key away, ends it sooner. The cookie is HttpOnly, SameSite=Strict and Path=/, over TLS Secure
 * with the prefix __Host- (RFC 6265bis section 4.1.3), so that no other host can have set it.
 *
 * What a cookie authenticates and changes something needs more: the XSRF token in cookie and header or form
 * (xsrf.h), an Origin that is our own, and Sec-Fetch-Site same-origin where the browser says it. API keys and
 * tokens are exempt, since no browser sends them by itself.
 *
 * Thread: the worker's; passwords are compared beside it (login_thread.h).   Source: EXPERIENCE F.3, THREATS
 * H43 to H45.
 */
#ifndef STARLING_SERVER_LOGIN_H
#define STARLING_SERVER_LOGIN_H

#include "channels/base/buf.h"

struct exchange;

enum { LOGIN_NAME_BYTES_MAX = 64 };

/* The handler of session.handler_prefix. Takes the exchange. */
void login_handle(struct exchange *exchange);

/* May the session cookie of this request change something? NULL: yes, as far as its form goes. Else which
 * rule refuses it, in static text. `form` is the body where it is a form, else empty. */
const char *login_guard(const struct exchange *exchange, struct str form);

enum login_access { LOGIN_ACCESS_NONE, LOGIN_ACCESS_FORBIDDEN, LOGIN_ACCESS_GRANTED };

/* May this request act as the administrator? NONE: nobody is signed in as such. FORBIDDEN: somebody is, and
 * login_guard() says no, in *rule. */
enum login_access login_admin_access(const struct exchange *exchange, const char **rule);

/* Appends the display name of a --dev session: the user of a WebSocket that connects without a token. */
void login_identify(const struct exchange *exchange, struct buf *out_user);

/* Is it a path on this server, and nothing that a browser takes for another one (//host, /\host)? */
bool login_next_is_own(struct str next);

#endif
