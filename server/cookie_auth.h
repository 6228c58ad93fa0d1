/* cookie_auth.h - the user of a connection without a token, from the signed cookie of an existing
 * application.
 *
 *     upgrade with Cookie: user="2|1:1|10:…|…" ─▶ origin (strict) ─▶ signed_cookie.h ─▶ user_from ─▶ the
 * session
 *
 * The application and this server share the secret (client.cookie_auth.keys); nobody has to issue tokens. A
 * token of the connect command wins over the cookie. A cookie that is refused is as good as none, and a log
 * line names the rule. Browsers send cookies along whichever page asks, so that it is the handshake's check
 * of the origin that keeps foreign pages out, and the configuration excludes allowed_origins * (THREATS H06,
 * H07).
 *
 * Thread: any; nothing here has state.   Memory: the caller's buf.   Source: PROTOCOL section 4.1, THREATS
 * A20 to A27.
 */
#ifndef STARLING_SERVER_COOKIE_AUTH_H
#define STARLING_SERVER_COOKIE_AUTH_H

#include "channels/base/buf.h"

struct config;
struct exchange;

enum { COOKIE_USER_BYTES_MAX = 255 };

/* Appends the user that the cookie's text names now, at Unix second `now_s`. false: nothing was appended, and
 * *rule (static text) says what is wrong with it. Pure. */
bool cookie_auth_read(const struct config *config, struct str cookie, uint64_t now_s, struct buf *out_user,
                      const char **rule);

/* The user of a value by client.cookie_auth.user_from: the value itself, or a member of the object that it
 * is, a text or an integer. As above. */
bool cookie_auth_user_of(const char *user_from, struct str value, struct buf *out_user, const char **rule);

/* Appends the user of an upgrade request, if one of its cookies names one: with --dev that of the sign-in
 * (login.h), else that of the application. */
void cookie_auth_identify(const struct exchange *exchange, struct buf *out_user);

#endif
