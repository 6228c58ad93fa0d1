#include "server/cli_tokens.h"

#include "channels/base/clock.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/crypto.h"
#include "server/json_span.h"

#include <getopt.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };
enum { MINUTE_S = 60, HOUR_S = 60 * MINUTE_S, DAY_S = 24 * HOUR_S, LIFE_S_DEFAULT = 7 * DAY_S };

static const uint64_t life_s_max = UINT64_C(100) * 365 * DAY_S;

extern char **environ;

/* -- arguments ------------------------------------------------------------------------------------------- */

static bool is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

struct arguments {
    const char *config_file; /* NULL = look for one */
    const char *user;        /* NULL = not given */
    const char *channel;     /* NULL = not given */
    const char *token;       /* NULL = not given */
    uint64_t life_s;         /* 0 = without end */
    bool is_quiet;
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},  {"user", required_argument, NULL, 'u'},
    {"channel", required_argument, NULL, 's'}, {"ttl", required_argument, NULL, 't'},
    {"quiet", no_argument, NULL, 'q'},         {0},
};

static bool parse_life(const char *text, uint64_t *out_s)
{
    if (str_is(STR("-1"), text)) {
        *out_s = 0;
        return true;
    }
    if (str_to_u64(str_from_cstr(text), life_s_max, out_s) && *out_s > 0) {
        return true;
    }
    (void)fprintf(stderr, "error: -t takes seconds from 1 to %llu, or -1 for no end\n",
                  (unsigned long long)life_s_max);
    return false;
}

/* `allowed` is for getopt(); false: getopt() or this said why. */
static bool parse_arguments(int argc, char **argv, const char *allowed, struct arguments *out)
{
    *out = (struct arguments){.life_s = LIFE_S_DEFAULT};
    optind = 1;
    for (;;) {
        int option = getopt_long(argc, argv, allowed, long_options, NULL);
        switch (option) {
        case -1: out->token = optind < argc ? argv[optind] : NULL; return optind + 1 >= argc;
        case 'c': out->config_file = optarg; break;
        case 'u': out->user = optarg; break;
        case 's': out->channel = optarg; break;
        case 'q': out->is_quiet = true; break;
        case 't':
            if (!parse_life(optarg, &out->life_s)) {
                return false;
            }
            break;
        default: return false;
        }
    }
}

static int usage(const char *text)
{
    (void)fprintf(stderr, "usage: starling %s\n", text);
    return EXIT_USAGE;
}

/* -- configuration --------------------------------------------------------------------------------------- */

static const char *find_config_file(void)
{
    static const char *const names[] = {"starling.json", "starling.yaml", "starling.yml"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (access(names[i], F_OK) == 0) {
            return names[i];
        }
    }
    return NULL;
}

struct config *cli_load_config(const char *file)
{
    struct config_source source = {
        .file = file != NULL ? file : find_config_file(),
        .environment = environ,
        .allows_weak_secrets = true,
    };
    struct config_report report = {0};
    struct config *config = NULL;
    enum status status = config_load(&config, &source, &report);
    if (status == STATUS_BAD_REQUEST) {
        config_report_print(&report, stderr);
    } else if (status != STATUS_OK) {
        (void)fprintf(stderr, "error: no memory\n");
    }
    config_report_release(&report);
    return config;
}

static struct token_verifier *open_verifier(const struct token_settings *settings)
{
    struct token_verifier *verifier = NULL;
    struct str error = {0};
    if (token_verifier_open(&verifier, settings, &error) != STATUS_OK) {
        (void)fprintf(stderr, "error: client.token: %.*s\n", STR_ARG(error));
    }
    return verifier;
}

/* What the server says of a token. */
static enum status verify(const struct token_verifier *verifier, bool for_subscription, struct str token,
                          uint64_t wall_ms, struct token_refusal *refusal)
{
    enum status status;
    if (for_subscription) {
        struct subscription_claims claims = {0};
        status = token_verify_subscription(verifier, token, wall_ms, &claims, refusal);
        subscription_claims_release(&claims);
    } else {
        struct connection_claims claims = {0};
        status = token_verify_connection(verifier, token, wall_ms, &claims, refusal);
        connection_claims_release(&claims);
    }
    return status;
}

/* -- words ----------------------------------------------------------------------------------------------- */

static void append_unit(struct buf *out, uint64_t count, const char *unit)
{
    buf_printf(out, "%llu %s%s", (unsigned long long)count, unit, count == 1 ? "" : "s");
}

/* 90061 → "1 day 1 hour": the two largest units. */
static void append_duration(struct buf *out, uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{UINT64_C(365) * DAY_S, "year"},
                 {DAY_S, "day"},
                 {HOUR_S, "hour"},
                 {MINUTE_S, "minute"},
                 {1, "second"}};
    size_t last = sizeof units / sizeof units[0] - 1;
    size_t i = 0;
    while (i < last && seconds < units[i].seconds) {
        i++;
    }
    append_unit(out, seconds / units[i].seconds, units[i].name);
    uint64_t rest = seconds % units[i].seconds;
    if (i < last && rest >= units[i + 1].seconds) {
        buf_append_char(out, ' ');
        append_unit(out, rest / units[i + 1].seconds, units[i + 1].name);
    }
}

/* 1700000000 → "2023-11-14 22:13:20 UTC, 3 hours ago". */
static void append_moment(struct buf *out, uint64_t seconds, uint64_t now_s)
{
    time_t moment = (time_t)seconds;
    struct tm parts;
    char text[64];
    if (gmtime_r(&moment, &parts) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts) > 0) {
        buf_append_str(out, str_from_cstr(text));
        buf_append_lit(out, ", ");
    }
    if (seconds == now_s) {
        buf_append_lit(out, "now");
    } else if (seconds > now_s) {
        buf_append_lit(out, "in ");
        append_duration(out, seconds - now_s);
    } else {
        append_duration(out, now_s - seconds);
        buf_append_lit(out, " ago");
    }
    if (seconds > UINT64_C(100000000000)) {
        buf_append_lit(out, " (are these milliseconds? the claim counts seconds)");
    }
}

enum { VALUE_BYTES_MAX = 160 };

/* Validated JSON for a terminal: no control character of either set, and not too much of it. */
static void append_value(struct buf *out, struct str json)
{
    struct str shown = str_first(json, VALUE_BYTES_MAX);
    while (shown.len < json.len && shown.len > 0 && ((unsigned char)json.at[shown.len] & 0xC0) == 0x80) {
        shown.len--; /* not in the middle of a character */
    }
    for (size_t i = 0; i < shown.len; i++) {
        unsigned char c = (unsigned char)shown.at[i];
        bool is_c1 = c == 0xC2 && i + 1 < shown.len && (unsigned char)shown.at[i + 1] < 0xA0;
        if (is_c1) {
            i++;
        }
        buf_append_char(out, is_c1 ? '?' : c < 0x20 || c == 0x7F ? ' ' : (char)c);
    }
    if (shown.len < json.len) {
        buf_printf(out, "… (%zu bytes)", json.len);
    }
}

/* -- making ---------------------------------------------------------------------------------------------- */

static void append_text_claim(struct buf *out, const char *name, const char *value)
{
    buf_append_char(out, ',');
    buf_append_json_string(out, str_from_cstr(name));
    buf_append_char(out, ':');
    buf_append_json_string(out, str_from_cstr(value));
}

/* Whatever the configuration asks of a token is put in, as far as it is a fixed text. */
static void append_claims(struct buf *out, const struct token_settings *settings,
                          const struct arguments *arguments, uint64_t now_s)
{
    buf_append_char(out, '{');
    buf_printf(out, "\"iat\":%llu", (unsigned long long)now_s);
    append_text_claim(out, is_set(settings->user_id_claim) ? settings->user_id_claim : "sub",
                      arguments->user);
    if (arguments->channel != NULL) {
        append_text_claim(out, "channel", arguments->channel);
    }
    if (is_set(settings->audience)) {
        append_text_claim(out, "aud", settings->audience);
    }
    if (is_set(settings->issuer)) {
        append_text_claim(out, "iss", settings->issuer);
    }
    if (arguments->life_s > 0) {
        buf_printf(out, ",\"exp\":%llu", (unsigned long long)(now_s + arguments->life_s));
    }
    buf_append_char(out, '}');
}

static void print_token(const struct arguments *arguments, struct str token, uint64_t now_s)
{
    if (!arguments->is_quiet) {
        struct buf text = {0};
        buf_printf(&text, "%s token (HS256) for ",
                   arguments->channel == NULL ? "connection" : "subscription");
        buf_append_str(&text, arguments->user[0] == '\0' ? STR("anonymous users") : STR("user "));
        append_value(&text, str_from_cstr(arguments->user));
        if (arguments->channel != NULL) {
            buf_append_lit(&text, " in channel ");
            append_value(&text, str_from_cstr(arguments->channel));
        }
        if (arguments->life_s == 0) {
            buf_append_lit(&text, ", never expires");
        } else {
            buf_append_lit(&text, ", expires ");
            append_moment(&text, now_s + arguments->life_s, now_s);
        }
        (void)printf("%.*s:\n", STR_ARG(buf_str(&text)));
        buf_release(&text);
    }
    (void)printf("%.*s\n", STR_ARG(token));
}

static int make_token(const struct config *config, const struct arguments *arguments)
{
    bool for_subscription = arguments->channel != NULL;
    struct token_settings settings;
    token_settings_from_config(config, for_subscription, &settings);
    if (!is_set(settings.hmac_secret_key)) {
        (void)fprintf(stderr, "error: client.%stoken.hmac_secret_key is not set\n",
                      for_subscription && config->client_subscription_token_enabled ? "subscription_" : "");
        return EXIT_REFUSED;
    }
    struct token_verifier *verifier = open_verifier(&settings);
    if (verifier == NULL) {
        return EXIT_REFUSED;
    }
    int code = EXIT_REFUSED;
    uint64_t now_ms = clock_wall_ms();
    struct buf claims = {0}, token = {0};
    append_claims(&claims, &settings, arguments, now_ms / 1000);
    if (claims.failed || !json_validate(buf_str(&claims), TOKEN_DEPTH_MAX)) {
        (void)fprintf(stderr, "error: user and channel must be valid UTF-8\n");
    } else if (token_sign_hs256(settings.hmac_secret_key, buf_str(&claims), &token) != STATUS_OK) {
        (void)fprintf(stderr, "error: no memory\n");
    } else {
        struct token_refusal refusal = {0};
        print_token(arguments, buf_str(&token), now_ms / 1000);
        if (verify(verifier, for_subscription, buf_str(&token), now_ms, &refusal) != STATUS_OK) {
            (void)fprintf(stderr, "warning: this server refuses the token: %s\n", refusal.rule);
        }
        code = EXIT_SUCCESS;
    }
    buf_release(&claims);
    buf_release(&token);
    token_verifier_free(verifier);
    return code;
}

static int load_and_make(const struct arguments *arguments)
{
    struct config *config = cli_load_config(arguments->config_file);
    if (config == NULL) {
        return EXIT_REFUSED;
    }
    int code = make_token(config, arguments);
    config_free(config);
    return code;
}

int cli_gentoken(int argc, char **argv)
{
    struct arguments arguments;
    if (!parse_arguments(argc, argv, "c:u:t:q", &arguments) || arguments.user == NULL ||
        arguments.channel != NULL || arguments.token != NULL) {
        return usage("gentoken [-c FILE] -u USER [-t SECONDS] [-q]");
    }
    return load_and_make(&arguments);
}

int cli_gensubtoken(int argc, char **argv)
{
    struct arguments arguments;
    if (!parse_arguments(argc, argv, "c:u:s:t:q", &arguments) || arguments.user == NULL ||
        !is_set(arguments.channel) || arguments.token != NULL) {
        return usage("gensubtoken [-c FILE] -u USER -s CHANNEL [-t SECONDS] [-q]");
    }
    return load_and_make(&arguments);
}

/* -- explaining ------------------------------------------------------------------------------------------ */

enum explained_as { AS_TEXT, AS_TIME, AS_EXPIRY };

static const struct {
    const char *name;
    enum explained_as as;
    const char *meaning;
} meanings[] = {
    {"sub", AS_TEXT, "the user; empty = anonymous"},
    {"exp", AS_TIME, "the token is refused from then on"},
    {"nbf", AS_TIME, "the token is refused until then"},
    {"iat", AS_TIME, "when the token was made"},
    {"expire_at", AS_EXPIRY, "when the connection or subscription expires, instead of exp"},
    {"jti", AS_TEXT, "name of the token; not used here"},
    {"aud", AS_TEXT, "whom the token is for; compared with audience where that is configured"},
    {"iss", AS_TEXT, "who made the token; compared with issuer where that is configured"},
    {"info", AS_TEXT, "what others see of the client, as conn_info or chan_info"},
    {"b64info", AS_TEXT, "info in base64; wins over info"},
    {"channels", AS_TEXT, "channels that the server subscribes the client to; subs wins"},
    {"subs", AS_TEXT, "channels that the server subscribes the client to, with options"},
    {"meta", AS_TEXT, "kept with the connection, never shown to clients"},
    {"channel", AS_TEXT, "the channel that a subscription token admits to"},
    {"client", AS_TEXT, "the only client ID that may use the token"},
    {"data", AS_TEXT, "sent to the client as it subscribes"},
    {"b64data", AS_TEXT, "data in base64; wins over data"},
    {"override", AS_TEXT, "options of this subscription instead of the channel's"},
};

static void print_claim(struct str name, struct str value, const char *user_id_claim, uint64_t now_s)
{
    struct buf line = {0};
    buf_append_lit(&line, "  ");
    append_value(&line, str_first(str_skip(name, 1), name.len - 2));
    buf_append_lit(&line, " = ");
    append_value(&line, value);
    buf_append_lit(&line, "\n      ");
    const char *meaning = "not known to this server, ignored";
    enum explained_as as = AS_TEXT;
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (json_string_is(name, meanings[i].name)) {
            meaning = meanings[i].meaning;
            as = meanings[i].as;
        }
    }
    if (is_set(user_id_claim) && json_string_is(name, user_id_claim)) {
        meaning = "the user (user_id_claim); empty = anonymous";
    } else if (is_set(user_id_claim) && json_string_is(name, "sub")) {
        meaning = "not used: user_id_claim names another claim";
    }
    uint64_t seconds;
    if (as != AS_TEXT && json_get_u64(value, &seconds) && seconds < UINT64_C(1) << 53) {
        if (as == AS_EXPIRY && seconds == 0) {
            buf_append_lit(&line, "never: ");
        } else {
            append_moment(&line, seconds, now_s);
            buf_append_lit(&line, ": ");
        }
    }
    buf_append_str(&line, str_from_cstr(meaning));
    (void)printf("%.*s\n", STR_ARG(buf_str(&line)));
    buf_release(&line);
}

/* Prints the members of one part of a token, which may be anything. */
static void print_part(const char *title, struct str part, const struct token_settings *settings,
                       uint64_t now_s)
{
    size_t capacity = CRYPTO_BASE64_BYTES_MAX(part.len) + 1, len = 0;
    char *bytes = malloc(capacity);
    bool is_claims = settings != NULL;
    (void)printf("%s\n", title);
    if (bytes == NULL || !crypto_base64url_decode(part, bytes, capacity, &len) ||
        json_object_read(str_make(bytes, len), NULL, 0, TOKEN_DEPTH_MAX) != JSON_READ_OK) {
        (void)printf("  (not base64url of a JSON object)\n");
        free(bytes);
        return;
    }
    struct str rest = str_trim(str_make(bytes, len)), name, value;
    while (json_object_next(&rest, &name, &value)) {
        if (is_claims) {
            print_claim(name, value, settings->user_id_claim, now_s);
            continue;
        }
        struct buf line = {0};
        append_value(&line, str_first(str_skip(name, 1), name.len - 2));
        buf_append_lit(&line, " = ");
        append_value(&line, value);
        (void)printf("  %.*s\n", STR_ARG(buf_str(&line)));
        buf_release(&line);
    }
    free(bytes);
}

static int explain(const struct config *config, bool for_subscription, struct str token)
{
    struct token_settings settings;
    token_settings_from_config(config, for_subscription, &settings);
    struct token_verifier *verifier = open_verifier(&settings);
    if (verifier == NULL) {
        return EXIT_REFUSED;
    }
    uint64_t now_ms = clock_wall_ms();
    struct token_refusal refusal = {0};
    enum status status = verify(verifier, for_subscription, token, now_ms, &refusal);
    token_verifier_free(verifier);
    const char *kind = for_subscription ? "subscription" : "connection";
    if (status == STATUS_OK) {
        (void)printf("valid %s token\n", kind);
    } else {
        (void)printf("not a valid %s token: %s\n", kind, refusal.rule);
    }
    if (token.len <= settings.token_bytes_max) {
        bool is_signed = status == STATUS_OK || status == STATUS_TOKEN_EXPIRED;
        struct str rest = token;
        struct str header = str_next(&rest, '.'), payload = str_next(&rest, '.');
        print_part("header", header, NULL, now_ms / 1000);
        print_part(is_signed ? "claims" : "claims (not to be believed)", payload, &settings, now_ms / 1000);
    }
    return status == STATUS_OK ? EXIT_SUCCESS : EXIT_REFUSED;
}

enum { STDIN_BYTES_MAX = TOKEN_BYTES_MAX_LIMIT + 2 };

/* The argument, or one line of standard input. false: no memory or nothing there. */
static bool read_token(const char *argument, struct buf *out)
{
    if (!str_is(STR("-"), argument)) {
        buf_append_str(out, str_from_cstr(argument));
        return !out->failed;
    }
    int c;
    while (out->len < STDIN_BYTES_MAX && (c = getchar()) != EOF && c != '\n') {
        buf_append_char(out, (char)c);
    }
    if (out->len > 0 && out->at[out->len - 1] == '\r') {
        out->len--;
    }
    return !out->failed && out->len > 0;
}

static int check(int argc, char **argv, bool for_subscription)
{
    struct arguments arguments;
    if (!parse_arguments(argc, argv, "c:", &arguments) || arguments.token == NULL || arguments.user != NULL ||
        arguments.channel != NULL) {
        return usage(for_subscription ? "checksubtoken [-c FILE] TOKEN" : "checktoken [-c FILE] TOKEN");
    }
    struct buf token = {0};
    struct config *config = NULL;
    int code = EXIT_REFUSED;
    if (!read_token(arguments.token, &token)) {
        (void)fprintf(stderr, "error: no token\n");
    } else if ((config = cli_load_config(arguments.config_file)) != NULL) {
        code = explain(config, for_subscription, buf_str(&token));
    }
    config_free(config);
    buf_release(&token);
    return code;
}

int cli_checktoken(int argc, char **argv)
{
    return check(argc, argv, false);
}

int cli_checksubtoken(int argc, char **argv)
{
    return check(argc, argv, true);
}
