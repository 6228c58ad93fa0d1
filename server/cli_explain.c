#include "server/cli_explain.h"

#include "channels/base/clock.h"
#include "channels/base/utf8.h"
#include "channels/permissions.h"
#include "server/access.h"
#include "server/auth.h"
#include "server/cli.h"

enum operation { SUBSCRIBE, PUBLISH, HISTORY, PRESENCE, OPERATION_COUNT };

static const struct {
    const char *name;
    const char *question;
} operations[] = {
    {"subscribe", "subscribe to"},
    {"publish", "publish to"},
    {"history", "read the history of"},
    {"presence", "see who is in"},
};

_Static_assert(sizeof operations / sizeof operations[0] == OPERATION_COUNT, "one row per operation");

struct question {
    enum operation operation;
    struct str user, channel, token;
    bool is_subscribed;
    char *config_arguments[CLI_FLAGS_MAX]; /* what remains for cli_arguments_parse() */
    int config_argument_count;
};

/* ---- arguments ---- */

/* The value of `--name=value` or `--name value`; NULL: argv[*i] is something else, or has none. */
static const char *value_of(int argc, char **argv, int *i, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) == 0 && argv[*i][len] == '=') {
        return argv[*i] + len + 1;
    }
    if (strcmp(argv[*i], name) == 0 && *i + 1 < argc) {
        (*i)++;
        return argv[*i];
    }
    return NULL;
}

static bool find_operation(const char *word, enum operation *out)
{
    for (size_t i = 0; i < OPERATION_COUNT; i++) {
        if (strcmp(word, operations[i].name) == 0) {
            *out = (enum operation)i;
            return true;
        }
    }
    return false;
}

static bool take_text(int argc, char **argv, int *i, struct question *out)
{
    const struct {
        const char *name;
        struct str *text;
    } texts[] = {
        {"--user", &out->user},
        {"-u", &out->user},
        {"--channel", &out->channel},
        {"--token", &out->token},
    };
    for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++) {
        const char *value = value_of(argc, argv, i, texts[j].name);
        if (value != NULL) {
            *texts[j].text = str_from_cstr(value);
            return true;
        }
    }
    return false;
}

static int parse(struct question *out, int argc, char **argv)
{
    bool has_operation = false;
    *out = (struct question){.operation = SUBSCRIBE};
    out->config_arguments[out->config_argument_count++] = argv[0];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--subscribed") == 0) {
            out->is_subscribed = true;
        } else if (argv[i][0] != '-' && !has_operation && find_operation(argv[i], &out->operation)) {
            has_operation = true;
        } else if (take_text(argc, argv, &i, out)) {
            continue;
        } else if (argv[i][0] != '-' && i > 1 && argv[i - 1][0] != '-') {
            return cli_refuse("explain", argv[i], "is not understood");
        } else if (out->config_argument_count == CLI_FLAGS_MAX) {
            return cli_refuse("explain", argv[i], "is one argument too many");
        } else {
            out->config_arguments[out->config_argument_count++] = argv[i];
        }
    }
    if (!has_operation) {
        return cli_refuse("explain", "subscribe, publish, history or presence", "is missing");
    }
    if (out->channel.at == NULL) {
        return cli_refuse("explain", "--channel", "is missing");
    }
    if (out->user.at == NULL) {
        return cli_refuse("explain", "--user", "is missing; an empty one is an anonymous user");
    }
    if (out->token.at != NULL && out->operation != SUBSCRIBE) {
        return cli_refuse("explain", "--token", "is looked at by subscribe only");
    }
    if (!utf8_is_valid(out->user) || !utf8_is_valid(out->channel)) {
        return cli_refuse("explain", "an argument", "is not UTF-8");
    }
    return CLI_OK;
}

/* ---- steps ---- */

static void step(const char *what, const char *finding)
{
    (void)printf("  %-30s %s\n", what, finding);
}

/* A text of the command line for the terminal it came from: control characters would act there. */
static void append_shown(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool is_c1 = c == 0xC2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xA0;
        buf_append_char(out, c < 0x20 || c == 0x7F || is_c1 ? '?' : (char)c);
        i += is_c1 ? 1 : 0;
    }
}

static void print_shown(const char *before, struct str text, const char *after)
{
    struct buf shown = {0};
    append_shown(&shown, text);
    (void)printf("%s%.*s%s", before, STR_ARG(buf_str(&shown)), after);
    buf_release(&shown);
}

static void print_question(const struct question *question)
{
    if (question->user.len == 0) {
        (void)printf("may an anonymous user");
    } else {
        print_shown("may user '", question->user, "'");
    }
    (void)printf(" %s", operations[question->operation].question);
    print_shown(" '", question->channel, "'?\n");
}

static void print_option(const char *name, bool is_on, const char *remark)
{
    (void)printf("  %-30s %s%s\n", name, is_on ? "on" : "off", remark);
}

/* The three options of publish, history or presence. */
static void print_grants(const struct question *question, const char *const names[3], const bool values[3])
{
    bool is_anonymous = question->user.len == 0;
    print_option(names[0], values[0], "");
    print_option(names[1], values[1],
                 question->is_subscribed ? ", and the client is subscribed"
                                         : ", and the client is not subscribed (--subscribed)");
    print_option(names[2], values[2],
                 is_anonymous ? ", and the user is anonymous" : ", not asked: the user is not anonymous");
}

static enum status explain_publish(const struct question *question, const struct channel_options *options,
                                   const struct client_view *view, struct refusal *why)
{
    print_grants(question,
                 (const char *const[3]){"allow_publish_for_client", "allow_publish_for_subscriber",
                                        "allow_publish_for_anonymous"},
                 (const bool[3]){options->allow_publish_for_client, options->allow_publish_for_subscriber,
                                 options->allow_publish_for_anonymous});
    return permit_publish(options, view, why);
}

static enum status explain_history(const struct question *question, const struct channel_options *options,
                                   const struct client_view *view, struct refusal *why)
{
    char kept[96];
    (void)snprintf(kept, sizeof kept, "%u publications for %llu s", options->history_size,
                   (unsigned long long)(options->history_ttl_ms / 1000));
    step("history_size, history_ttl", channel_has_history(options) ? kept : "no history is kept");
    print_grants(question,
                 (const char *const[3]){"allow_history_for_client", "allow_history_for_subscriber",
                                        "allow_history_for_anonymous"},
                 (const bool[3]){options->allow_history_for_client, options->allow_history_for_subscriber,
                                 options->allow_history_for_anonymous});
    return permit_history(options, view, why);
}

static enum status explain_presence(const struct question *question, const struct channel_options *options,
                                    const struct client_view *view, struct refusal *why)
{
    print_option("presence", options->presence, "");
    print_grants(question,
                 (const char *const[3]){"allow_presence_for_client", "allow_presence_for_subscriber",
                                        "allow_presence_for_anonymous"},
                 (const bool[3]){options->allow_presence_for_client, options->allow_presence_for_subscriber,
                                 options->allow_presence_for_anonymous});
    return permit_presence(options, view, why);
}

/* The token alone decides: channel options are not asked. */
static enum status explain_token(const struct config *config, const struct question *question,
                                 struct refusal *why)
{
    struct token_settings settings;
    struct token_verifier *verifier = NULL;
    struct subscription_claims claims = {0};
    struct token_refusal refusal = {0};
    struct str error = STR("");
    token_settings_from_config(config, true, &settings);
    if (token_verifier_open(&verifier, &settings, &error) != STATUS_OK) {
        *why = (struct refusal){.rule = error.at, .option = ""};
        return STATUS_INVALID_TOKEN;
    }
    uint64_t now_ms = clock_wall_ms();
    enum status status = token_verify_subscription(verifier, question->token, now_ms, &claims, &refusal);
    step("token: signature and times", status == STATUS_OK ? "good" : refusal.rule);
    if (status == STATUS_OK) {
        status = access_check_subscription(&claims, question->user, question->channel, STR(""), now_ms / 1000,
                                           &refusal);
        step("token: user, channel, expiry", status == STATUS_OK ? "good" : refusal.rule);
    }
    if (status == STATUS_OK && claims.client.len > 0) {
        print_shown("  token: client                  only client ", claims.client, "\n");
    }
    subscription_claims_release(&claims);
    token_verifier_free(verifier);
    *why = (struct refusal){.rule = refusal.rule == NULL ? "" : refusal.rule, .option = ""};
    return status;
}

static enum status explain_subscribe(const struct config *config, const struct question *question,
                                     const struct channel_options *options, const struct client_view *view,
                                     struct refusal *why)
{
    const struct channel_rules *rules = &config->channels;
    bool is_private = channel_is_private(rules, question->channel);
    step("private", is_private ? "yes: only a subscription token opens it" : "no");
    if (question->token.at != NULL) {
        return explain_token(config, question, why);
    }
    step("token", "none");
    bool is_limited = channel_is_user_limited(rules, options, question->channel);
    if (!is_private) {
        step("user list", !is_limited ? (options->allow_user_limited_channels
                                             ? "none in the name"
                                             : "not looked at: allow_user_limited_channels is off")
                          : channel_allows_user(rules, question->channel, view->user)
                              ? "names the user, and decides"
                              : "does not name the user, and decides");
    }
    if (!is_private && !is_limited) {
        print_option("allow_subscribe_for_client", options->allow_subscribe_for_client, "");
        print_option("allow_subscribe_for_anonymous", options->allow_subscribe_for_anonymous,
                     view->user.len == 0 ? ", and the user is anonymous"
                                         : ", not asked: the user is not anonymous");
    }
    return permit_subscribe(rules, options, question->channel, view, why);
}

/* ---- verdict ---- */

static enum status decide(const struct config *config, const struct question *question,
                          const struct channel_options **options, struct refusal *why)
{
    const struct channel_rules *rules = &config->channels;
    enum status status = channel_rules_resolve_why(rules, question->channel, options, why);
    if (status == STATUS_BAD_REQUEST) {
        step("name", why->rule);
        return status;
    }
    step("name", "good");
    if (status != STATUS_OK) {
        step("namespace", why->rule);
        return status;
    }
    if ((*options)->name.len > 0) {
        print_shown("  namespace                      ", (*options)->name, "\n");
    } else {
        step("namespace", "none: channel.without_namespace");
    }
    const struct client_view view = {.user = question->user,
                                     .is_insecure = config->client_insecure,
                                     .is_subscribed = question->is_subscribed};
    switch (question->operation) {
    case SUBSCRIBE: status = explain_subscribe(config, question, *options, &view, why); break;
    case PUBLISH: status = explain_publish(question, *options, &view, why); break;
    case HISTORY: status = explain_history(question, *options, &view, why); break;
    case PRESENCE: status = explain_presence(question, *options, &view, why); break;
    case OPERATION_COUNT: break;
    }
    print_option("client.insecure", config->client_insecure,
                 config->client_insecure ? ": whatever is configured is allowed to everyone" : "");
    return status;
}

static int explain(const struct config *config, const struct question *question)
{
    const struct channel_options *options = NULL;
    struct refusal why = {.rule = "", .option = ""};
    print_question(question);
    enum status status = decide(config, question, &options, &why);
    if (status == STATUS_OK) {
        (void)printf("yes\n");
        return CLI_OK;
    }
    struct buf words = {0};
    refusal_append(&words, status, &why, options);
    /* A token that is not valid closes the connection or, where it did not verify, is error 103. */
    unsigned code =
        status == STATUS_INVALID_TOKEN ? status_code(STATUS_PERMISSION_DENIED) : status_code(status);
    (void)printf("no, error %u: %.*s\n", code, STR_ARG(buf_str(&words)));
    buf_release(&words);
    return CLI_FAILED;
}

int cli_explain(int argc, char **argv)
{
    struct question question;
    struct cli_arguments arguments;
    struct config_report report = {0};
    struct config *config = NULL;
    int code = parse(&question, argc, argv);
    if (code != CLI_OK) {
        return code;
    }
    if (!cli_arguments_parse(&arguments, question.config_argument_count, question.config_arguments)) {
        return CLI_USAGE;
    }
    /* Weak secrets are the server's to refuse. */
    arguments.source.allows_weak_secrets = true;
    enum status status = config_load(&config, &arguments.source, &report);
    if (status != STATUS_OK) {
        config_report_print(&report, stderr);
    }
    config_report_release(&report);
    code = status == STATUS_OK ? explain(config, &question) : CLI_USAGE;
    config_free(config);
    return code;
}
