#include "server/cli_doctor.h"

#include "channels/base/buf.h"
#include "server/cli.h"
#include "server/cli_url.h"
#include "server/json_span.h"
#include "server/tls_stream.h"
#include "server/ws_client.h"

enum { URLS_MAX = 8, TIMEOUT_MS = 10000, LOCAL_TIMEOUT_MS = 3000, ANSWER_BYTES_MAX = 64 * 1024 };

/* What is tried, in this order. */
enum step { NAME, CONNECTION, TLS, HEALTH, READY, UPGRADE, BROWSER, CONNECT, API, STEP_COUNT };

static const char *const step_names[] = {"name",    "connection", "TLS",     "health", "ready",
                                         "upgrade", "browser",    "connect", "API"};

_Static_assert(sizeof step_names / sizeof step_names[0] == STEP_COUNT, "one name per step");

struct checkup {
    struct cli_url url;
    const char *token; /* NULL: none */
    bool has_failed[STEP_COUNT];
    bool is_printed;
};

/* ---- saying ---- */

/* What a server sent, for a terminal: one line of printable ASCII. */
static void append_shown(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len && i < 200; i++) {
        unsigned char c = (unsigned char)text.at[i];
        buf_append_char(out, c < 0x20 || c >= 0x7F ? ' ' : (char)c);
    }
}

static void say(struct checkup *checkup, enum step step, bool is_good, const struct buf *what)
{
    checkup->has_failed[step] = !is_good;
    if (checkup->is_printed) {
        (void)printf("  %-4s  %-10s  %.*s\n", is_good ? "ok" : "FAIL", step_names[step],
                     STR_ARG(buf_str(what)));
    }
}

/* "FAIL step what" and the likely cause below it. */
static void fail(struct checkup *checkup, enum step step, const struct buf *what, const char *cause)
{
    say(checkup, step, false, what);
    if (checkup->is_printed && cause != NULL) {
        (void)printf("                    %s\n", cause);
    }
}

/* ---- HTTP, one request a connection ---- */

struct answer {
    struct buf bytes;
    unsigned status; /* 0: it is no HTTP */
    struct str body;
};

static void answer_release(struct answer *answer)
{
    buf_release(&answer->bytes);
}

static void read_status(struct answer *answer)
{
    struct str text = buf_str(&answer->bytes);
    uint64_t status;
    if (str_starts_with(text, STR("HTTP/1.")) && str_to_u64(str_first(str_skip(text, 9), 3), 999, &status)) {
        answer->status = (unsigned)status;
    }
    const char *end = text.len == 0 ? NULL : memmem(text.at, text.len, "\r\n\r\n", 4);
    if (end != NULL) {
        answer->body = str_skip(text, (size_t)(end - text.at) + 4);
    }
}

/* The value of a field of the answer's head; .at is NULL without. */
static struct str field_of(const struct answer *answer, struct str name)
{
    struct str rest = str_first(buf_str(&answer->bytes), answer->bytes.len - answer->body.len);
    while (rest.at != NULL) {
        struct str line = str_next(&rest, '\n');
        struct str field = str_next(&line, ':');
        if (str_equal_nocase(str_trim(field), name)) {
            return str_trim(str_ends_with(line, STR("\r")) ? str_first(line, line.len - 1) : line);
        }
    }
    return (struct str){0};
}

/* Until the server closes, or the answer is longer than anything of ours. false: nothing came; `why` says so.
 */
static bool receive_answer(struct tls_stream *stream, int timeout_ms, struct answer *out, struct buf *why)
{
    char piece[4096];
    size_t len;
    while (out->bytes.len < ANSWER_BYTES_MAX &&
           stream_receive(stream, timeout_ms, piece, sizeof piece, &len, why)) {
        buf_append(&out->bytes, piece, len);
    }
    read_status(out);
    return out->bytes.len > 0 && !out->bytes.failed;
}

static bool ask(const struct cli_url *url, const char *method, const char *path, int timeout_ms,
                struct answer *out, struct buf *why)
{
    struct tls_stream *stream = NULL;
    struct buf request = {0};
    const struct stream_options options = {
        .host = url->host, .port = url->port, .is_tls = url->is_tls, .timeout_ms = timeout_ms};
    bool is_post = strcmp(method, "POST") == 0;
    buf_printf(&request,
               "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: starling-doctor\r\n%s\r\n%s",
               method, path, url->authority,
               is_post ? "Content-Type: application/json\r\nContent-Length: 2\r\n" : "", is_post ? "{}" : "");
    bool is_answered = !request.failed && stream_open(&stream, &options, why) == STREAM_OPEN &&
                       stream_send(stream, request.at, request.len, why) &&
                       receive_answer(stream, timeout_ms, out, why);
    stream_close(stream);
    buf_release(&request);
    return is_answered;
}

/* ---- likely causes ---- */

/* Of an answer that our own server would not give. NULL: nothing is known. */
static const char *cause_of_status(unsigned status)
{
    switch (status) {
    case 0: return "that is not HTTP: another service on this port, or TLS spoken on a plain one";
    case 301:
    case 302:
    case 307:
    case 308: return "a proxy redirects: use the address it names (often https or wss)";
    case 401: return "a proxy in front asks for a password";
    case 404: return "another server answers, or a proxy or handler_prefix uses another path";
    case 413:
    case 431: return "a proxy in front has smaller limits than the server";
    case 502: return "a proxy in front cannot reach the server: wrong upstream address, or it is down";
    case 503: return "the server or a proxy in front is overloaded, starting or stopping";
    case 504: return "a proxy in front waits for the server in vain";
    default: return NULL;
    }
}

static const char *cause_of_upgrade(unsigned status, bool has_origin)
{
    switch (status) {
    case 0: return NULL;
    case 200: return "a page is served instead: a proxy sends this path somewhere else";
    case 400:
    case 426:
        return "the Upgrade header does not arrive: a proxy drops it (nginx: proxy_http_version 1.1, "
               "proxy_set_header Upgrade $http_upgrade, Connection \"upgrade\")";
    case 403:
        return has_origin ? "this origin is not in client.allowed_origins, or a proxy changes the Host header"
                          : "something in front refuses";
    case 429: return "too many connections from this address: behind a proxy set http_server.trusted_proxies";
    case 503: return "client.connection_limit or client.connection_rate_limit, or the server is stopping";
    default: return cause_of_status(status);
    }
}

/* ---- the steps ---- */

/* Name, connection and TLS. false: nothing further can be tried. */
static bool check_connection(struct checkup *checkup)
{
    struct tls_stream *stream = NULL;
    struct buf what = {0}, why = {0};
    const struct cli_url *url = &checkup->url;
    const struct stream_options options = {
        .host = url->host, .port = url->port, .is_tls = url->is_tls, .timeout_ms = TIMEOUT_MS};
    enum stream_step reached = stream_open(&stream, &options, &why);
    switch (reached) {
    case STREAM_NAME: fail(checkup, NAME, &why, "the name is unknown here: DNS, or a slip in it"); break;
    case STREAM_CONNECTION:
        fail(
            checkup, CONNECTION, &why,
            "nothing listens there: is the server running, the port right and published, the firewall open?");
        break;
    case STREAM_TLS:
        fail(checkup, TLS, &why,
             "the port does not speak TLS: a plain port (use ws or http), or a broken proxy");
        break;
    case STREAM_OPEN:
        buf_printf(&what, "%s is %s", url->host, stream_address(stream));
        say(checkup, NAME, true, &what);
        buf_reset(&what);
        buf_printf(&what, "port %s answers", url->port);
        say(checkup, CONNECTION, true, &what);
        break;
    }
    if (reached == STREAM_OPEN && url->is_tls) {
        buf_reset(&what);
        bool is_valid = stream_certificate(stream, &what, &why);
        if (is_valid) {
            say(checkup, TLS, true, &what);
        } else {
            buf_printf(&what, ": %.*s", STR_ARG(buf_str(&why)));
            fail(checkup, TLS, &what, "browsers refuse this certificate: renew it, or serve the whole chain");
        }
    }
    stream_close(stream);
    buf_release(&what);
    buf_release(&why);
    return reached == STREAM_OPEN;
}

static void describe(const struct answer *answer, struct buf *what)
{
    struct str via = field_of(answer, STR("Via")), server = field_of(answer, STR("Server"));
    struct str location = field_of(answer, STR("Location"));
    if (answer->status == 0) {
        append_shown(what, str_first(buf_str(&answer->bytes), 60));
        return;
    }
    buf_printf(what, "status %u", answer->status);
    if (location.len > 0) {
        buf_append_lit(what, " to ");
        append_shown(what, location);
    }
    if (server.len > 0 || via.len > 0) {
        buf_append_lit(what, ", by way of ");
        append_shown(what, via.len > 0 ? via : server);
    }
}

/* GET of a path that should answer 200. false: what comes after it makes no sense. */
static bool check_path(struct checkup *checkup, enum step step, const char *path)
{
    struct answer answer = {0};
    struct buf what = {0};
    buf_printf(&what, "%s ", path);
    bool is_answered = ask(&checkup->url, "GET", path, TIMEOUT_MS, &answer, &what);
    bool is_good = is_answered && answer.status == 200;
    if (!is_answered) {
        fail(checkup, step, &what, checkup->url.is_tls ? NULL : "the port may speak TLS: try https or wss");
    } else {
        buf_reset(&what);
        buf_printf(&what, "%s ", path);
        describe(&answer, &what);
        if (is_good) {
            say(checkup, step, true, &what);
        } else if (step == READY && answer.status == 503 && json_kind(answer.body) == JSON_KIND_OBJECT) {
            buf_append_lit(&what, ": ");
            append_shown(&what, answer.body);
            fail(checkup, step, &what, "the server says itself what is missing");
        } else {
            fail(checkup, step, &what, cause_of_status(answer.status));
        }
    }
    answer_release(&answer);
    buf_release(&what);
    return is_answered && answer.status != 0;
}

static struct ws_client *check_upgrade(struct checkup *checkup, enum step step, const char *origin)
{
    struct ws_client *client = NULL;
    struct buf what = {0};
    unsigned status;
    const struct ws_client_options options = {.origin = origin, .is_unverified = true};
    if (ws_client_open_url(&client, &checkup->url, &options, &status, &what)) {
        buf_reset(&what);
        buf_printf(&what, "%s", checkup->url.path[0] != '\0' ? checkup->url.path : WS_CLIENT_DEFAULT_PATH);
        if (origin != NULL) {
            buf_printf(&what, " from a page of %s", origin);
        }
        say(checkup, step, true, &what);
    } else {
        fail(checkup, step, &what, cause_of_upgrade(status, origin != NULL));
    }
    buf_release(&what);
    return client;
}

static const char *cause_of_refusal(struct str reason, bool has_token)
{
    if (!has_token && memmem(reason.at, reason.len, " 3501", 5) != NULL) {
        return "the server wants a token: --token TOKEN, or client.allow_anonymous_connect_without_token";
    }
    if (has_token) {
        return "the token is refused: starling checktoken says why";
    }
    return NULL;
}

static void check_connect(struct checkup *checkup, struct ws_client *client)
{
    struct buf command = {0}, what = {0};
    struct str message;
    buf_append_lit(&command, "{\"id\":1,\"connect\":{");
    if (checkup->token != NULL) {
        buf_append_lit(&command, "\"token\":");
        buf_append_json_string(&command, str_from_cstr(checkup->token));
    }
    buf_append_lit(&command, "}}");
    bool is_answered = !command.failed && ws_client_send(client, buf_str(&command), &what) &&
                       ws_client_receive(client, TIMEOUT_MS, &message, &what);
    if (!is_answered) {
        const char *cause = cause_of_refusal(buf_str(&what), checkup->token != NULL);
        bool asks_for_token = cause != NULL && checkup->token == NULL;
        if (asks_for_token) {
            buf_reset(&what);
            buf_append_lit(&what, "the server answers, and wants a token (--token TOKEN tries one)");
            say(checkup, CONNECT, true, &what);
        } else {
            fail(checkup, CONNECT, &what,
                 cause != NULL ? cause : "frames do not come through: a proxy that buffers or inspects them");
        }
    } else if (memmem(message.at, message.len, "\"connect\":", 10) != NULL) {
        append_shown(&what, message);
        say(checkup, CONNECT, true, &what);
    } else {
        append_shown(&what, message);
        fail(checkup, CONNECT, &what, cause_of_refusal(message, checkup->token != NULL));
    }
    buf_release(&command);
    buf_release(&what);
}

static void check_api(struct checkup *checkup)
{
    struct answer answer = {0};
    struct buf what = {0};
    bool is_answered = ask(&checkup->url, "POST", "/api/info", TIMEOUT_MS, &answer, &what);
    if (!is_answered) {
        fail(checkup, API, &what, NULL);
    } else {
        buf_reset(&what);
        describe(&answer, &what);
        bool is_known = true;
        switch (answer.status) {
        case 401: buf_append_lit(&what, ": reachable, and it asks for its key"); break;
        case 403:
        case 404: buf_append_lit(&what, ": not reachable here, which is fine for clients"); break;
        case 200:
            buf_append_lit(&what, ": OPEN TO EVERYBODY, no key is asked for (http_api.insecure)");
            break;
        default: is_known = false; break;
        }
        if (is_known) {
            say(checkup, API, true, &what);
        } else {
            fail(checkup, API, &what, cause_of_status(answer.status));
        }
    }
    answer_release(&answer);
    buf_release(&what);
}

static void run_checkup(struct checkup *checkup)
{
    if (!check_connection(checkup) || !check_path(checkup, HEALTH, "/health")) {
        return;
    }
    (void)check_path(checkup, READY, "/health/ready");
    struct ws_client *client = check_upgrade(checkup, UPGRADE, NULL);
    struct buf origin = {0};
    buf_printf(&origin, "http%s://%s", checkup->url.is_tls ? "s" : "", checkup->url.authority);
    buf_append_char(&origin, '\0');
    ws_client_close(origin.failed ? NULL : check_upgrade(checkup, BROWSER, origin.at));
    buf_release(&origin);
    if (client != NULL) {
        check_connect(checkup, client);
        ws_client_close(client);
    }
    check_api(checkup);
}

/* ---- several hops ---- */

static const enum step *first_failure(const struct checkup *checkup)
{
    static const enum step steps[] = {NAME, CONNECTION, TLS, HEALTH, READY, UPGRADE, BROWSER, CONNECT, API};
    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (checkup->has_failed[steps[i]]) {
            return &steps[i];
        }
    }
    return NULL;
}

static void compare_hops(const struct checkup *checkups, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        const enum step *outer = first_failure(&checkups[i]);
        if (outer != NULL && !checkups[i + 1].has_failed[*outer]) {
            (void)printf("%s fails at %s and %s does not: the cause lies between them\n", step_names[*outer],
                         checkups[i].url.authority, checkups[i + 1].url.authority);
        }
    }
}

static int check_urls(struct checkup *checkups, size_t count)
{
    int code = CLI_OK;
    for (size_t i = 0; i < count; i++) {
        checkups[i].is_printed = true;
        (void)printf("%s%s\n", checkups[i].url.authority, checkups[i].url.is_tls ? " (TLS)" : "");
        run_checkup(&checkups[i]);
        code = first_failure(&checkups[i]) != NULL ? CLI_FAILED : code;
    }
    compare_hops(checkups, count);
    return code;
}

/* ---- --local ---- */

/* The host to ask a server that listens there: a wildcard is reached by loopback. */
static const char *local_host(const struct str_list *addresses)
{
    const char *address = addresses->count > 0 ? addresses->at[0].at : "127.0.0.1";
    bool is_any = strcmp(address, "0.0.0.0") == 0 || address[0] == '\0';
    return is_any                                                       ? "127.0.0.1"
           : strcmp(address, "::") == 0 || strcmp(address, "[::]") == 0 ? "::1"
                                                                        : address;
}

static int check_local(const struct config *config)
{
    bool is_internal = config->http_server_internal_port != 0;
    const struct str_list *addresses = is_internal && config->http_server_internal_address.count > 0
                                           ? &config->http_server_internal_address
                                           : &config->http_server_address;
    const char *host = local_host(addresses);
    bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
    struct buf url = {0}, path = {0}, why = {0};
    struct cli_url parsed = {0};
    struct answer answer = {0};
    int code = CLI_FAILED;
    buf_printf(&url, "http%s://%s%s%s:%u", !is_internal && config->http_server_tls_enabled ? "s" : "",
               is_v6 ? "[" : "", host, is_v6 ? "]" : "",
               is_internal ? config->http_server_internal_port : config->http_server_port);
    buf_printf(&path, "%s/ready", config->health_handler_prefix);
    buf_append_char(&path, '\0');
    if (!config->health_enabled) {
        buf_append_lit(&why, "health.enabled is off");
    } else if (path.failed || !cli_url_parse(&parsed, buf_str(&url))) {
        buf_append_lit(&why, "the configured address cannot be asked");
    } else if (ask(&parsed, "GET", path.at, LOCAL_TIMEOUT_MS, &answer, &why)) {
        code = answer.status == 200 ? CLI_OK : CLI_FAILED;
        buf_reset(&why);
        describe(&answer, &why);
    }
    if (code != CLI_OK) {
        (void)fprintf(stderr, "not ready: %.*s\n", STR_ARG(buf_str(&why)));
    }
    answer_release(&answer);
    cli_url_release(&parsed);
    buf_release(&url);
    buf_release(&path);
    buf_release(&why);
    return code;
}

static int run_local(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct config_report report = {0};
    struct config *config = NULL;
    if (!cli_arguments_parse(&arguments, argc, argv)) {
        return CLI_USAGE;
    }
    arguments.source.allows_weak_secrets = true; /* the server's to refuse */
    enum status status = config_load(&config, &arguments.source, &report);
    if (status != STATUS_OK) {
        config_report_print(&report, stderr);
    }
    config_report_release(&report);
    int code = status == STATUS_OK ? check_local(config) : CLI_USAGE;
    config_free(config);
    return code;
}

/* ---- arguments ---- */

int cli_doctor(int argc, char **argv)
{
    struct checkup checkups[URLS_MAX];
    size_t count = 0;
    const char *token = NULL;
    int code = CLI_OK;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--local") == 0) {
            argv[i] = argv[0]; /* the others are the configuration's */
            for (int j = i; j > 0; j--) {
                argv[j] = argv[j - 1];
            }
            return run_local(argc - 1, argv + 1);
        }
    }
    for (int i = 1; i < argc && code == CLI_OK; i++) {
        if (strncmp(argv[i], "--token=", 8) == 0) {
            token = argv[i] + 8;
        } else if (strcmp(argv[i], "--token") == 0 && i + 1 < argc) {
            token = argv[++i];
        } else if (argv[i][0] == '-' || count == URLS_MAX) {
            code = cli_refuse("doctor", argv[i],
                              argv[i][0] == '-' ? "is not understood" : "is one URL too many");
        } else {
            checkups[count] = (struct checkup){0};
            struct cli_url *url = &checkups[count++].url;
            bool is_url = cli_url_parse(url, str_from_cstr(argv[i]));
            if (is_url && strcmp(url->path, "/") == 0) {
                url->path[0] = '\0'; /* a site, not an endpoint */
            } else if (!is_url) {
                code = cli_refuse("doctor", "the URL",
                                  "must be like https://chat.example or ws://127.0.0.1:8000");
            }
        }
    }
    if (code == CLI_OK && count == 0) {
        code = cli_refuse("doctor", "the URL", "is missing");
    }
    for (size_t i = 0; i < count; i++) {
        checkups[i].token = token;
    }
    code = code == CLI_OK ? check_urls(checkups, count) : code;
    for (size_t i = 0; i < count; i++) {
        cli_url_release(&checkups[i].url);
    }
    return code;
}
