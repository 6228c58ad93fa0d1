#include "server/login.h"

#include "channels/base/clock.h"
#include "channels/base/log.h"
#include "channels/base/utf8.h"
#include "server/crypto.h"
#include "server/exchange.h"
#include "server/login_thread.h"
#include "server/signed_cookie.h"
#include "server/worker.h"
#include "server/xsrf.h"

#include <stdio.h>
#include <stdlib.h>

#define SESSION_COOKIE "starling_session"
#define SESSION_COOKIE_TLS "__Host-" SESSION_COOKIE

enum { PASSWORD_MARK_LEN = 16, NEXT_BYTES_MAX = 2048 };

/* ---- the session cookie: "name:NAME", or "admin:MARK:USER" ---- */

enum login_kind { LOGIN_NOBODY, LOGIN_NAME, LOGIN_ADMIN };

struct login {
    enum login_kind kind;
    struct str user; /* in `cookie` */
    struct signed_cookie cookie;
};

static uint64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

static const char *session_cookie_name(const struct exchange *exchange)
{
    return exchange->is_https ? SESSION_COOKIE_TLS : SESSION_COOKIE;
}

static struct signed_cookie_use session_use(const struct exchange *exchange)
{
    const struct config *config = exchange->worker->config;
    return (struct signed_cookie_use){.keys = &config->session_keys,
                                      .key_version = config->session_key_version,
                                      .name = str_from_cstr(session_cookie_name(exchange)),
                                      .now_s = now_s(),
                                      .max_age_s = config->session_max_age_ms / 1000};
}

/* Changes with the password: sessions that were opened with the old one end. */
static struct str password_mark(const struct config *config, char out[2 * CRYPTO_SHA256_BYTES])
{
    unsigned char digest[CRYPTO_SHA256_BYTES];
    crypto_sha256(str_from_cstr(config->admin_password_hash), digest);
    crypto_hex(str_make((const char *)digest, sizeof digest), out);
    return str_make(out, PASSWORD_MARK_LEN);
}

/* What the value of a cookie of ours means under today's configuration. */
static enum login_kind read_value(const struct config *config, struct str value, struct str *out_user)
{
    char mark[2 * CRYPTO_SHA256_BYTES];
    struct str rest = value;
    struct str kind = str_next(&rest, ':');
    if (str_is(kind, "name")) {
        *out_user = rest;
        return config->is_dev ? LOGIN_NAME : LOGIN_NOBODY;
    }
    bool is_admin = str_is(kind, "admin") && config->admin_enabled &&
                    str_equal(str_next(&rest, ':'), password_mark(config, mark)) &&
                    str_is(rest, config->admin_user);
    *out_user = rest;
    return is_admin ? LOGIN_ADMIN : LOGIN_NOBODY;
}

static void read_login(const struct exchange *exchange, struct login *out)
{
    const char *rule = "";
    const struct signed_cookie_use use = session_use(exchange);
    struct str cookie = http_cookie(&exchange->request, session_cookie_name(exchange));
    out->kind = LOGIN_NOBODY;
    if (cookie.at != NULL && signed_cookie_read(&use, cookie, &out->cookie, &rule)) {
        out->kind = read_value(exchange->worker->config, signed_cookie_value(&out->cookie), &out->user);
    }
    if (out->kind == LOGIN_NOBODY) {
        out->user = STR("");
    }
}

/* ---- cookies of an answer ---- */

static void set_cookie(struct exchange *exchange, const char *name, struct str value, uint64_t age_s,
                       const char *attributes)
{
    struct buf line = {0};
    buf_printf(&line, "%s=", name);
    buf_append_str(&line, value);
    buf_printf(&line, "; Path=/; Max-Age=%llu; SameSite=Strict%s%s", (unsigned long long)age_s, attributes,
               exchange->is_https ? "; Secure" : "");
    if (!line.failed) {
        exchange_header(exchange, "Set-Cookie", buf_str(&line));
    }
    buf_release(&line);
}

/* Signs a session that began at Unix second `began_s`. */
static void set_session(struct exchange *exchange, struct str value, uint64_t began_s)
{
    struct buf cookie = {0};
    struct signed_cookie_use use = session_use(exchange);
    uint64_t age_s = use.now_s > began_s ? use.now_s - began_s : 0;
    uint64_t left_s = age_s < use.max_age_s ? use.max_age_s - age_s : 0;
    use.now_s = began_s;
    if (signed_cookie_write(&use, value, &cookie)) {
        set_cookie(exchange, session_cookie_name(exchange), buf_str(&cookie), left_s, "; HttpOnly");
    }
    buf_release(&cookie);
}

static void set_xsrf(struct exchange *exchange, const struct xsrf_token *token)
{
    char text[XSRF_TEXT_MAX];
    /* Pages read it to send it back: not HttpOnly. */
    set_cookie(exchange, XSRF_COOKIE, str_make(text, xsrf_write(token, text)), XSRF_AGE_S_MAX, "");
}

/* ---- who may change something ---- */

const char *login_guard(const struct exchange *exchange, struct str form)
{
    const struct http_request *request = &exchange->request;
    struct str origin = http_header(request, "Origin");
    struct str site = http_header(request, "Sec-Fetch-Site");
    if (http_header_count(request, "Origin") > 1 ||
        (origin.at != NULL &&
         !http_origin_is_own(origin, http_header(request, "Host"), exchange->is_https))) {
        return "the request comes from a page of another origin";
    }
    if (site.at != NULL && !str_is(site, "same-origin")) {
        return "the request comes from another site (Sec-Fetch-Site)";
    }
    const char *rule = NULL;
    struct buf scratch = {0};
    bool is_good =
        xsrf_check(http_cookie(request, XSRF_COOKIE), xsrf_given(request, form, &scratch), now_s(), &rule);
    buf_release(&scratch);
    return is_good ? NULL : rule;
}

enum login_access login_admin_access(const struct exchange *exchange, const char **rule)
{
    struct login login;
    if (!exchange->worker->config->admin_enabled) {
        return LOGIN_ACCESS_NONE;
    }
    read_login(exchange, &login);
    if (login.kind != LOGIN_ADMIN) {
        return LOGIN_ACCESS_NONE;
    }
    *rule = login_guard(exchange, STR(""));
    return *rule == NULL ? LOGIN_ACCESS_GRANTED : LOGIN_ACCESS_FORBIDDEN;
}

void login_identify(const struct exchange *exchange, struct buf *out_user)
{
    struct login login;
    if (!exchange->worker->config->is_dev) {
        return;
    }
    read_login(exchange, &login);
    if (login.kind == LOGIN_NAME) {
        buf_append_str(out_user, login.user);
    }
}

/* ---- answers ---- */

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c == 0x7F) {
            return false;
        }
    }
    return utf8_is_valid(text);
}

bool login_next_is_own(struct str next)
{
    /* Browsers drop tabs and line ends, and take a backslash for a slash. */
    bool is_path = next.len > 0 && next.len <= NEXT_BYTES_MAX && next.at[0] == '/' && is_printable(next);
    return is_path && !(next.len > 1 && (next.at[1] == '/' || next.at[1] == '\\'));
}

static void answer_refused(struct exchange *exchange, unsigned status, const char *rule, const char *text)
{
    char address[ADDRESS_TEXT_MAX];
    log_info("login_refused", {"rule", log_cstr(rule)}, {"status", log_u64(status)},
             {"address", log_text(address_text(exchange->address, address))});
    exchange_header(exchange, "Cache-Control", STR("no-store"));
    exchange_refuse(exchange, status, text);
}

/* Who one is now, as JSON, with the token under a new mask. */
static void answer_state(struct exchange *exchange, enum login_kind kind, struct str user,
                         const struct xsrf_token *token)
{
    const struct config *config = exchange->worker->config;
    char xsrf[XSRF_TEXT_MAX];
    struct buf json = {0};
    buf_append_lit(&json, "{\"user\":");
    buf_append_json_string(&json, user);
    buf_printf(&json, ",\"admin\":%s,\"sign_in\":{\"name\":%s,\"password\":%s},\"xsrf\":\"%.*s\"}",
               kind == LOGIN_ADMIN ? "true" : "false", config->is_dev ? "true" : "false",
               config->admin_enabled ? "true" : "false", (int)xsrf_write(token, xsrf), xsrf);
    exchange_header(exchange, "Cache-Control", STR("no-store"));
    if (json.failed) {
        exchange_refuse(exchange, 500, NULL);
    } else {
        exchange_respond(exchange, 200, "application/json", buf_str(&json));
    }
    buf_release(&json);
}

/* The end of signing in or out: a page's script gets the state, a plain form goes to `next`. */
static void answer_changed(struct exchange *exchange, enum login_kind kind, struct str user, struct str next)
{
    struct xsrf_token token;
    xsrf_make(&token, now_s()); /* one that was known before is worth nothing in the new session */
    set_xsrf(exchange, &token);
    if (next.at == NULL) {
        answer_state(exchange, kind, user, &token);
        return;
    }
    exchange_header(exchange, "Cache-Control", STR("no-store"));
    exchange_header(exchange, "Location", login_next_is_own(next) ? next : STR("/"));
    exchange_respond(exchange, 303, NULL, STR(""));
}

/* ---- forms ---- */

struct form {
    struct str name, user, password, next; /* decoded; .at is NULL where the field is missing */
    struct buf memory;
};

/* Decoding never makes a text longer, so that with room for all fields none moves. */
static bool read_form(const struct exchange *exchange, struct form *out)
{
    struct str body = buf_str(&exchange->body);
    struct {
        const char *name;
        struct str *value;
    } fields[] = {
        {"name", &out->name}, {"user", &out->user}, {"password", &out->password}, {"next", &out->next}};
    *out = (struct form){0};
    if (!buf_reserve(&out->memory, body.len + 1)) {
        return false;
    }
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        size_t before = out->memory.len;
        if (body.len > 0 && http_query_get(body, fields[i].name, &out->memory)) {
            *fields[i].value = str_make(out->memory.at + before, out->memory.len - before);
        }
    }
    return !out->memory.failed;
}

static void release_form(struct form *form)
{
    if (form->memory.at != NULL) {
        password_forget(form->memory.at, form->memory.capacity);
    }
    buf_release(&form->memory);
}

static bool is_form(const struct http_request *request)
{
    struct str type = http_header(request, "Content-Type");
    return str_equal_nocase(str_trim(str_next(&type, ';')), STR("application/x-www-form-urlencoded"));
}

/* ---- by password ---- */

/* What an attempt needs besides: where to go afterwards. */
struct pending {
    struct login_attempt attempt;
    struct exchange *exchange;
    bool has_next;
    size_t next_len;
    char next[NEXT_BYTES_MAX];
};

static void sign_in_admin(struct exchange *exchange, struct str next)
{
    const struct config *config = exchange->worker->config;
    char mark[2 * CRYPTO_SHA256_BYTES], address[ADDRESS_TEXT_MAX];
    struct buf value = {0};
    buf_append_lit(&value, "admin:");
    buf_append_str(&value, password_mark(config, mark));
    buf_append_char(&value, ':');
    buf_append_str(&value, str_from_cstr(config->admin_user));
    if (value.failed) {
        exchange_refuse(exchange, 500, NULL);
    } else {
        log_info("admin_signed_in", {"address", log_text(address_text(exchange->address, address))});
        set_session(exchange, buf_str(&value), now_s());
        answer_changed(exchange, LOGIN_ADMIN, str_from_cstr(config->admin_user), next);
    }
    buf_release(&value);
}

static void on_decided(struct login_attempt *attempt)
{
    struct pending *pending = attempt->context;
    struct exchange *exchange = pending->exchange;
    char seconds[24];
    switch (attempt->verdict) {
    case LOGIN_ACCEPTED:
        sign_in_admin(exchange, pending->has_next ? str_make(pending->next, pending->next_len)
                                                  : (struct str){.at = NULL});
        break;
    case LOGIN_REFUSED:
        answer_refused(exchange, 401, "user or password is wrong", "user or password is wrong");
        break;
    case LOGIN_THROTTLED:
        (void)snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)(attempt->wait_ms + 999) / 1000);
        exchange_header(exchange, "Retry-After", str_from_cstr(seconds));
        answer_refused(exchange, 429, "too many tries", "too many tries, wait a little");
        break;
    case LOGIN_STOPPED: exchange_refuse(exchange, 503, NULL); break;
    }
    free(pending);
}

static void copy_attempt(struct pending *pending, struct exchange *exchange, const struct form *form)
{
    struct login_attempt *attempt = &pending->attempt;
    attempt->hub = exchange->worker->hub;
    attempt->done = on_decided;
    attempt->context = pending;
    memcpy(attempt->address, exchange->address, sizeof attempt->address);
    memcpy(attempt->user, form->user.at, form->user.len);
    attempt->user_len = form->user.len;
    memcpy(attempt->password, form->password.at, form->password.len);
    attempt->password_len = form->password.len;
    pending->exchange = exchange;
    pending->has_next = form->next.at != NULL;
    if (pending->has_next && form->next.len <= NEXT_BYTES_MAX) {
        memcpy(pending->next, form->next.at, form->next.len);
        pending->next_len = form->next.len;
    }
}

static void try_password(struct exchange *exchange, const struct form *form)
{
    struct login_thread *thread = exchange->worker->server->logins;
    if (form->user.at == NULL || form->user.len > LOGIN_USER_BYTES_MAX ||
        form->password.len > PASSWORD_BYTES_MAX) {
        answer_refused(exchange, 400, "no user or password, or a too long one",
                       "user and password are needed");
        return;
    }
    struct pending *pending = thread == NULL ? NULL : calloc(1, sizeof *pending);
    if (pending != NULL) {
        copy_attempt(pending, exchange, form);
    }
    if (pending == NULL || !login_thread_ask(thread, &pending->attempt)) {
        if (pending != NULL) {
            password_forget(pending, sizeof *pending);
        }
        free(pending);
        exchange_header(exchange, "Retry-After", STR("1"));
        answer_refused(exchange, 503, "too many tries at once", "the server is busy");
    }
}

/* ---- by name ---- */

static void take_name(struct exchange *exchange, const struct form *form)
{
    struct str name = str_trim(form->name);
    struct buf value = {0};
    if (name.len == 0 || name.len > LOGIN_NAME_BYTES_MAX || !is_printable(name)) {
        answer_refused(exchange, 400, "no name, or a bad one", "a name of 1 to 64 bytes of text is needed");
        return;
    }
    buf_append_lit(&value, "name:");
    buf_append_str(&value, name);
    if (value.failed) {
        exchange_refuse(exchange, 500, NULL);
    } else {
        set_session(exchange, buf_str(&value), now_s());
        answer_changed(exchange, LOGIN_NAME, name, form->next);
    }
    buf_release(&value);
}

/* ---- requests ---- */

static void show(struct exchange *exchange)
{
    struct login login;
    struct xsrf_token token;
    read_login(exchange, &login);
    if (login.kind != LOGIN_NOBODY &&
        login.cookie.key_version != exchange->worker->config->session_key_version) {
        set_session(exchange, signed_cookie_value(&login.cookie), login.cookie.time_s);
    }
    if (!xsrf_read(http_cookie(&exchange->request, XSRF_COOKIE), now_s(), &token)) {
        xsrf_make(&token, now_s());
        set_xsrf(exchange, &token);
    }
    answer_state(exchange, login.kind, login.user, &token);
}

static void sign_in(struct exchange *exchange)
{
    const struct config *config = exchange->worker->config;
    struct form form;
    if (!read_form(exchange, &form)) {
        exchange_refuse(exchange, 500, NULL);
    } else if (form.password.at != NULL && config->admin_enabled) {
        try_password(exchange, &form);
    } else if (form.name.at != NULL && config->is_dev) {
        take_name(exchange, &form);
    } else {
        answer_refused(exchange, 400, "a field is missing",
                       config->is_dev ? "the field name is missing" : "user and password are needed");
    }
    release_form(&form);
}

static void sign_out(struct exchange *exchange)
{
    struct form form;
    if (!read_form(exchange, &form)) {
        exchange_refuse(exchange, 500, NULL);
    } else {
        set_cookie(exchange, session_cookie_name(exchange), STR(""), 0, "; HttpOnly");
        answer_changed(exchange, LOGIN_NOBODY, STR(""), form.next);
    }
    release_form(&form);
}

static void change(struct exchange *exchange, void (*handle)(struct exchange *))
{
    if (!is_form(&exchange->request)) {
        exchange_refuse(exchange, 415, "the body must be a form: application/x-www-form-urlencoded");
        return;
    }
    const char *rule = login_guard(exchange, buf_str(&exchange->body));
    if (rule != NULL) {
        answer_refused(exchange, 403, rule, rule);
    } else {
        handle(exchange);
    }
}

void login_handle(struct exchange *exchange)
{
    const struct http_request *request = &exchange->request;
    struct str rest = str_skip(request->path, strlen(exchange->worker->config->session_handler_prefix));
    bool is_post = request->method == HTTP_METHOD_POST;
    if (rest.len == 0 && !is_post) {
        show(exchange);
    } else if (rest.len == 0) {
        change(exchange, sign_in);
    } else if (!str_is(rest, "/end")) {
        exchange_refuse(exchange, 404, NULL);
    } else if (!is_post) {
        exchange_header(exchange, "Allow", STR("POST"));
        exchange_refuse(exchange, 405, NULL);
    } else {
        change(exchange, sign_out);
    }
}
