#include "channels/permissions.h"

#include "channels/base/utf8.h"
#include "channels/limits.h"

#include <stdlib.h>
#include <string.h>

struct channel_rules channel_rules_default(void)
{
    return (struct channel_rules){
        .max_length = 255,
        .private_prefix = '$',
        .namespace_boundary = ':',
        .user_boundary = '#',
        .user_separator = ',',
    };
}

static int compare_names(struct str a, struct str b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.at, b.at, shorter);
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static int compare_options(const void *a, const void *b)
{
    return compare_names(((const struct channel_options *)a)->name,
                         ((const struct channel_options *)b)->name);
}

bool channel_rules_sort(struct channel_rules *rules)
{
    if (rules->namespace_count > 1) {
        qsort(rules->namespaces, rules->namespace_count, sizeof *rules->namespaces, compare_options);
    }
    for (size_t i = 1; i < rules->namespace_count; i++) {
        if (str_equal(rules->namespaces[i - 1].name, rules->namespaces[i].name)) {
            return false;
        }
    }
    return true;
}

const struct channel_options *channel_rules_find(const struct channel_rules *rules, struct str name)
{
    if (name.len == 0) {
        return &rules->without_namespace;
    }
    size_t low = 0;
    size_t high = rules->namespace_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(name, rules->namespaces[middle].name);
        if (order == 0) {
            return &rules->namespaces[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

enum name_kind { NAME_ASCII, NAME_UTF8, NAME_MALFORMED };

/* Control characters are malformed here, C1 (C2 80 to C2 9F) like C0 and DEL: a name has no use for them, and
 * a terminal that shows one obeys it. */
static enum name_kind classify(struct str name)
{
    enum name_kind kind = NAME_ASCII;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];
        unsigned char next = i + 1 < name.len ? (unsigned char)name.at[i + 1] : 0;
        if (c < 0x20 || c == 0x7F || (c == 0xC2 && next >= 0x80 && next <= 0x9F)) {
            return NAME_MALFORMED;
        }
        kind = c >= 0x80 ? NAME_UTF8 : kind;
    }
    return kind == NAME_UTF8 && !utf8_is_valid(name) ? NAME_MALFORMED : kind;
}

/* A rule whose character is switched off finds nothing. */
static ptrdiff_t find_boundary(struct str s, char boundary)
{
    return boundary == '\0' ? -1 : str_find(s, boundary);
}

/* Splits the name into its namespace, without the private prefix, and what follows the boundary. false: there
 * is no boundary, and *rest is the whole name with its prefix. */
static bool split(const struct channel_rules *rules, struct str channel, struct str *namespace_name,
                  struct str *rest)
{
    struct str open = channel_is_private(rules, channel) ? str_skip(channel, 1) : channel;
    ptrdiff_t boundary = find_boundary(open, rules->namespace_boundary);
    if (boundary < 0) {
        *namespace_name = str_first(channel, 0);
        *rest = channel;
        return false;
    }
    *namespace_name = str_first(open, (size_t)boundary);
    *rest = str_skip(open, (size_t)boundary + 1);
    return true;
}

/* A copy with an end: REG_STARTEND would do without, but the address sanitizer's regexec looks for the zero.
 */
static bool regex_matches(const regex_t *regex, struct str text)
{
    char name[LIMIT_CHANNEL_BYTES + 1];
    if (text.len >= sizeof name) {
        return false;
    }
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    return regexec(regex, name, 0, NULL, 0) == 0;
}

static enum status refuse(enum status status, struct refusal *why, const char *rule, const char *option)
{
    if (why != NULL) {
        *why = (struct refusal){.rule = rule, .option = option};
    }
    return status;
}

enum status channel_rules_resolve_why(const struct channel_rules *rules, struct str channel,
                                      const struct channel_options **out, struct refusal *why)
{
    if (channel.len == 0) {
        return refuse(STATUS_BAD_REQUEST, why, "the channel has no name", "");
    }
    if (channel.len > rules->max_length) {
        return refuse(STATUS_BAD_REQUEST, why, "the channel's name is too long", "channel.max_length");
    }
    enum name_kind kind = classify(channel);
    if (kind == NAME_MALFORMED) {
        return refuse(STATUS_BAD_REQUEST, why, "the channel's name is not UTF-8 or has a control character",
                      "");
    }
    struct str namespace_name;
    struct str rest;
    bool has_namespace = split(rules, channel, &namespace_name, &rest);
    if (has_namespace && namespace_name.len == 0) {
        /* ":rest" names a namespace that cannot exist. */
        return refuse(STATUS_UNKNOWN_CHANNEL, why, "the channel's name begins with the namespace boundary",
                      "");
    }
    const struct channel_options *options = channel_rules_find(rules, namespace_name);
    if (options == NULL) {
        return refuse(STATUS_UNKNOWN_CHANNEL, why, "the channel's namespace does not exist",
                      "channel.namespaces");
    }
    if (options->channel_regex == NULL && kind != NAME_ASCII) {
        return refuse(STATUS_BAD_REQUEST, why,
                      "the channel's name is not ASCII, and no channel_regex admits it", "channel_regex");
    }
    if (options->channel_regex != NULL && !regex_matches(options->channel_regex, rest)) {
        return refuse(STATUS_BAD_REQUEST, why, "the channel's name does not match channel_regex",
                      "channel_regex");
    }
    *out = options;
    return STATUS_OK;
}

enum status channel_rules_resolve(const struct channel_rules *rules, struct str channel,
                                  const struct channel_options **out)
{
    return channel_rules_resolve_why(rules, channel, out, NULL);
}

struct str channel_namespace(const struct channel_rules *rules, struct str channel)
{
    struct str namespace_name;
    struct str rest;
    (void)split(rules, channel, &namespace_name,
                &rest); /* without a boundary the name is empty, as promised */
    return namespace_name;
}

bool channel_is_private(const struct channel_rules *rules, struct str channel)
{
    return rules->private_prefix != '\0' && channel.len > 0 && channel.at[0] == rules->private_prefix;
}

bool channel_is_user_limited(const struct channel_rules *rules, const struct channel_options *options,
                             struct str channel)
{
    return options->allow_user_limited_channels && find_boundary(channel, rules->user_boundary) >= 0;
}

bool channel_allows_user(const struct channel_rules *rules, struct str channel, struct str user)
{
    ptrdiff_t boundary = rules->user_boundary == '\0' ? -1 : str_find_last(channel, rules->user_boundary);
    if (boundary < 0 || user.len == 0) {
        return false;
    }
    struct str users = str_skip(channel, (size_t)boundary + 1);
    if (rules->user_separator == '\0') {
        return str_equal(users, user);
    }
    while (users.at != NULL) {
        if (str_equal(str_next(&users, rules->user_separator), user)) {
            return true;
        }
    }
    return false;
}

bool channel_personal_name(const struct channel_rules *rules, struct str namespace_name, struct str user,
                           char *out, size_t size, size_t *out_len)
{
    bool has_namespace = namespace_name.len > 0 && rules->namespace_boundary != '\0';
    size_t prefix_len = has_namespace ? namespace_name.len + 1 : 0;
    size_t len_max = size < rules->max_length ? size : rules->max_length;
    if (user.len == 0 || rules->user_boundary == '\0' || prefix_len >= len_max ||
        user.len > len_max - prefix_len - 1) {
        return false;
    }
    /* Such an ID would make a name that lists somebody else, or one of another namespace. */
    if (find_boundary(user, rules->user_boundary) >= 0 || find_boundary(user, rules->user_separator) >= 0 ||
        (!has_namespace && find_boundary(user, rules->namespace_boundary) >= 0)) {
        return false;
    }
    if (has_namespace) {
        memcpy(out, namespace_name.at, namespace_name.len);
        out[namespace_name.len] = rules->namespace_boundary;
    }
    out[prefix_len] = rules->user_boundary;
    memcpy(out + prefix_len + 1, user.at, user.len);
    *out_len = prefix_len + 1 + user.len;
    return true;
}

enum status permit_subscribe(const struct channel_rules *rules, const struct channel_options *options,
                             struct str channel, const struct client_view *client, struct refusal *why)
{
    if (channel_is_private(rules, channel)) {
        return refuse(STATUS_PERMISSION_DENIED, why, "a private channel needs a subscription token", "");
    }
    if (channel_is_user_limited(rules, options, channel)) {
        return channel_allows_user(rules, channel, client->user)
                   ? STATUS_OK
                   : refuse(STATUS_PERMISSION_DENIED, why, "the channel's name does not list the user", "");
    }
    bool is_anonymous = client->user.len == 0;
    bool is_allowed =
        options->allow_subscribe_for_client && (!is_anonymous || options->allow_subscribe_for_anonymous);
    if (is_allowed || client->is_insecure) {
        return STATUS_OK;
    }
    if (!options->allow_subscribe_for_client) {
        return refuse(STATUS_PERMISSION_DENIED, why, "clients may not subscribe without a token",
                      "allow_subscribe_for_client");
    }
    return refuse(STATUS_PERMISSION_DENIED, why, "anonymous clients may not subscribe",
                  "allow_subscribe_for_anonymous");
}

/* The three options of one operation, and what to say for each when it is the one that is missing. */
struct grant {
    bool for_client, for_subscriber, for_anonymous;
    struct refusal no_client, no_subscriber, no_anonymous;
};

static enum status permit(const struct grant *grant, const struct client_view *client, struct refusal *why)
{
    bool is_anonymous = client->user.len == 0;
    bool is_granted = grant->for_client || (grant->for_subscriber && client->is_subscribed);
    if ((is_granted && (!is_anonymous || grant->for_anonymous)) || client->is_insecure) {
        return STATUS_OK;
    }
    const struct refusal *reason = is_granted              ? &grant->no_anonymous
                                   : grant->for_subscriber ? &grant->no_subscriber
                                                           : &grant->no_client;
    return refuse(STATUS_PERMISSION_DENIED, why, reason->rule, reason->option);
}

enum status permit_publish(const struct channel_options *options, const struct client_view *client,
                           struct refusal *why)
{
    struct grant grant = {
        .for_client = options->allow_publish_for_client,
        .for_subscriber = options->allow_publish_for_subscriber,
        .for_anonymous = options->allow_publish_for_anonymous,
        .no_client = {"clients may not publish", "allow_publish_for_client"},
        .no_subscriber = {"only subscribers may publish", "allow_publish_for_client"},
        .no_anonymous = {"anonymous clients may not publish", "allow_publish_for_anonymous"},
    };
    return permit(&grant, client, why);
}

enum status permit_history(const struct channel_options *options, const struct client_view *client,
                           struct refusal *why)
{
    if (!channel_has_history(options)) {
        return refuse(STATUS_NOT_AVAILABLE, why, "the channel keeps no history",
                      options->history_size == 0 ? "history_size" : "history_ttl");
    }
    struct grant grant = {
        .for_client = options->allow_history_for_client,
        .for_subscriber = options->allow_history_for_subscriber,
        .for_anonymous = options->allow_history_for_anonymous,
        .no_client = {"clients may not read history", "allow_history_for_client"},
        .no_subscriber = {"only subscribers may read history", "allow_history_for_client"},
        .no_anonymous = {"anonymous clients may not read history", "allow_history_for_anonymous"},
    };
    return permit(&grant, client, why);
}

enum status permit_presence(const struct channel_options *options, const struct client_view *client,
                            struct refusal *why)
{
    if (!options->presence) {
        return refuse(STATUS_NOT_AVAILABLE, why, "the channel keeps no presence", "presence");
    }
    struct grant grant = {
        .for_client = options->allow_presence_for_client,
        .for_subscriber = options->allow_presence_for_subscriber,
        .for_anonymous = options->allow_presence_for_anonymous,
        .no_client = {"clients may not read presence", "allow_presence_for_client"},
        .no_subscriber = {"only subscribers may read presence", "allow_presence_for_client"},
        .no_anonymous = {"anonymous clients may not read presence", "allow_presence_for_anonymous"},
    };
    return permit(&grant, client, why);
}

void refusal_append(struct buf *out, enum status status, const struct refusal *why,
                    const struct channel_options *options)
{
    buf_append_str(out, status_message(status));
    /* A rule that spells out its option needs no more; "presence" alone is just a word. */
    bool is_spelled_out = strchr(why->option, '_') != NULL && strstr(why->rule, why->option) != NULL;
    bool says_option = why->option[0] == '\0' || is_spelled_out;
    bool is_of_namespace = options != NULL && strchr(why->option, '.') == NULL;
    if (is_of_namespace && !says_option) {
        if (options->name.len > 0) {
            buf_printf(out, ": namespace '%.*s' has ", STR_ARG(options->name));
        } else {
            buf_append_lit(out, ": channels without a namespace have ");
        }
        bool is_number = strncmp(why->option, "history_", 8) == 0;
        buf_printf(out, "%s %s", why->option, is_number ? "0" : "off");
    } else if (why->rule[0] != '\0') {
        buf_printf(out, ": %s", why->rule);
        if (!says_option) {
            buf_printf(out, " (%s)", why->option);
        }
    }
}
