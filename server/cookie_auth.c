#include "server/cookie_auth.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/utf8.h"
#include "server/exchange.h"
#include "server/json_span.h"
#include "server/login.h"
#include "server/worker.h"

enum { VALUE_DEPTH_MAX = 16, DAY_S = 24 * 3600 };

static bool is_good_user(struct str user)
{
    for (size_t i = 0; i < user.len; i++) {
        unsigned char c = (unsigned char)user.at[i];
        if (c < 0x20 || c == 0x7F) {
            return false;
        }
    }
    return user.len > 0 && user.len <= COOKIE_USER_BYTES_MAX && utf8_is_valid(user);
}

/* The text of a string, or the digits of an integer. */
static bool member_text(struct str span, struct buf *scratch, struct str *out)
{
    int64_t number;
    if (json_get_i64(span, &number)) {
        *out = span;
        return true;
    }
    return json_kind(span) == JSON_KIND_STRING && buf_reserve(scratch, span.len) &&
           json_get_string(span, scratch, out);
}

bool cookie_auth_user_of(const char *user_from, struct str value, struct buf *out_user, const char **rule)
{
    struct str user = value;
    struct buf scratch = {0};
    bool is_good = true;
    if (str_starts_with(str_from_cstr(user_from), STR("json:"))) {
        struct json_member member = {.name = user_from + 5};
        is_good = json_object_read(value, &member, 1, VALUE_DEPTH_MAX) == JSON_READ_OK &&
                  member_text(member.value, &scratch, &user);
        *rule = "the cookie's value has no such member (client.cookie_auth.user_from)";
    }
    if (is_good && !is_good_user(user)) {
        *rule = "the cookie's user is empty, longer than 255 bytes, or no printable text";
        is_good = false;
    }
    if (is_good) {
        buf_append_str(out_user, user);
    }
    buf_release(&scratch);
    return is_good;
}

bool cookie_auth_read(const struct config *config, struct str cookie, uint64_t now_s, struct buf *out_user,
                      const char **rule)
{
    struct signed_cookie signed_cookie;
    const struct signed_cookie_use use = {
        .keys = &config->client_cookie_auth_keys,
        .key_version = config->client_cookie_auth_key_version,
        .name = str_from_cstr(config->client_cookie_auth_name),
        .now_s = now_s,
        .max_age_s = (uint64_t)config->client_cookie_auth_max_age_days * DAY_S,
    };
    return signed_cookie_read(&use, cookie, &signed_cookie, rule) &&
           cookie_auth_user_of(config->client_cookie_auth_user_from, signed_cookie_value(&signed_cookie),
                               out_user, rule);
}

void cookie_auth_identify(const struct exchange *exchange, struct buf *out_user)
{
    const struct config *config = exchange->worker->config;
    login_identify(exchange, out_user);
    if (!config->client_cookie_auth_enabled || out_user->len > 0) {
        return;
    }
    const char *rule = "";
    struct str cookie = http_cookie(&exchange->request, config->client_cookie_auth_name);
    if (cookie.at == NULL) {
        return;
    }
    if (!cookie_auth_read(config, cookie, clock_wall_ms() / 1000, out_user, &rule)) {
        char address[ADDRESS_TEXT_MAX];
        log_info("cookie_refused", {"rule", log_cstr(rule)},
                 {"address", log_text(address_text(exchange->address, address))});
    }
}
