#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/permissions.h"

#include <stdio.h>
#include <stdlib.h>

/* Two namespaces, and a third whose names must be Cyrillic letters or digits. */
struct fixture {
    struct channel_options namespaces[3];
    struct channel_rules rules;
    regex_t regex;
};

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    assert_int_equal(regcomp(&fixture->regex, "^([0-9]|а|б)+$", REG_EXTENDED | REG_NOSUB), 0);
    fixture->rules = channel_rules_default();
    fixture->namespaces[0].name = STR("news");
    fixture->namespaces[1].name = STR("chat");
    fixture->namespaces[2].name = STR("letters");
    fixture->namespaces[2].channel_regex = &fixture->regex;
    fixture->rules.namespaces = fixture->namespaces;
    fixture->rules.namespace_count = 3;
    assert_true(channel_rules_sort(&fixture->rules));
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    regfree(&fixture->regex);
    free(fixture);
    return 0;
}

static struct channel_rules *rules_of(void **state)
{
    return &((struct fixture *)*state)->rules;
}

static void expect_namespace(void **state, struct str channel, const char *name)
{
    const struct channel_options *options = NULL;
    assert_int_equal(channel_rules_resolve(rules_of(state), channel, &options), STATUS_OK);
    assert_true(str_is(options->name, name));
    assert_true(str_is(channel_namespace(rules_of(state), channel), name));
}

static void expect_status(void **state, struct str channel, enum status expected)
{
    const struct channel_options *untouched = (const struct channel_options *)state;
    const struct channel_options *options = untouched;
    assert_int_equal(channel_rules_resolve(rules_of(state), channel, &options), expected);
    assert_ptr_equal(options, untouched);
}

static void a_name_without_boundary_has_the_options_without_namespace(void **state)
{
    expect_namespace(state, STR("lobby"), "");
    expect_namespace(state, STR("#42"), "");
    expect_namespace(state, STR("$lobby"), "");
}

static void the_text_before_the_first_boundary_is_the_namespace(void **state)
{
    expect_namespace(state, STR("chat:lobby"), "chat");
    expect_namespace(state, STR("chat:news:today"), "chat");
    expect_namespace(state, STR("chat:"), "chat");
    expect_namespace(state, STR("news:#42"), "news");
}

static void a_leading_private_prefix_is_not_part_of_the_namespace(void **state)
{
    expect_namespace(state, STR("$chat:lobby"), "chat");
    expect_status(state, STR("$$chat:lobby"), STATUS_UNKNOWN_CHANNEL);
}

static void an_unknown_namespace_is_an_unknown_channel(void **state)
{
    expect_status(state, STR("chats:lobby"), STATUS_UNKNOWN_CHANNEL);
    expect_status(state, STR("cha:lobby"), STATUS_UNKNOWN_CHANNEL);
    expect_status(state, STR("Chat:lobby"), STATUS_UNKNOWN_CHANNEL);
    expect_status(state, STR(":lobby"), STATUS_UNKNOWN_CHANNEL);
    expect_status(state, STR("$:lobby"), STATUS_UNKNOWN_CHANNEL);
}

static void a_name_is_one_to_max_length_bytes(void **state)
{
    char name[256];
    memset(name, 'a', sizeof name);
    expect_status(state, str_make(name, 0), STATUS_BAD_REQUEST);
    expect_status(state, (struct str){0}, STATUS_BAD_REQUEST);
    expect_namespace(state, str_make(name, 1), "");
    expect_namespace(state, str_make(name, 254), "");
    expect_namespace(state, str_make(name, 255), "");
    expect_status(state, str_make(name, 256), STATUS_BAD_REQUEST);
}

static void a_control_character_is_refused_in_every_namespace(void **state)
{
    for (int c = 0; c < 0x20; c++) {
        char name[] = {'a', (char)c, 'b'};
        expect_status(state, str_make(name, sizeof name), STATUS_BAD_REQUEST);
    }
    expect_status(state, STR("a\x7f"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:1\n"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xC2\x85"), STATUS_BAD_REQUEST);
}

static void every_printable_ascii_character_may_be_in_a_name(void **state)
{
    for (int c = 0x20; c < 0x7F; c++) {
        char name[] = {'a', (char)c, 'b'};
        if (c != ':') {
            expect_namespace(state, str_make(name, sizeof name), "");
        }
    }
}

static void a_name_is_ascii_unless_its_namespace_has_a_regex(void **state)
{
    expect_status(state, STR("chat:б"), STATUS_BAD_REQUEST);
    expect_status(state, STR("б"), STATUS_BAD_REQUEST);
    expect_namespace(state, STR("letters:аб12"), "letters");
    expect_namespace(state, STR("$letters:1"), "letters");
}

static void the_regex_sees_the_part_after_the_namespace(void **state)
{
    expect_status(state, STR("letters:"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:x"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:1x"), STATUS_BAD_REQUEST);
}

static void malformed_utf8_is_refused_even_where_a_regex_admits_other_letters(void **state)
{
    regfree(&((struct fixture *)*state)->regex);
    assert_int_equal(regcomp(&((struct fixture *)*state)->regex, "", REG_EXTENDED | REG_NOSUB), 0);
    expect_namespace(state, STR("letters:\xF0\x9F\x98\x80"), "letters");
    expect_namespace(state, STR("letters:\xC2\xA0\xE0\xA0\x80\xED\x9F\xBF\xF4\x8F\xBF\xBF"), "letters");
    expect_status(state, STR("letters:\x80"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xC0\xAF"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xC1\xBF"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xE0\x9F\xBF"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xED\xA0\x80"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xF0\x8F\xBF\xBF"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xF4\x90\x80\x80"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xF5\x80\x80\x80"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xE2\x82"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xE2\x82z"), STATUS_BAD_REQUEST);
    expect_status(state, STR("letters:\xFF"), STATUS_BAD_REQUEST);
}

static void a_namespace_that_occurs_twice_is_found_when_sorting(void **state)
{
    struct channel_options twice[] = {{.name = STR("b")}, {.name = STR("a")}, {.name = STR("b")}};
    (void)state;
    struct channel_rules rules = channel_rules_default();
    rules.namespaces = twice;
    rules.namespace_count = 3;
    assert_false(channel_rules_sort(&rules));
    rules.namespace_count = 0;
    assert_true(channel_rules_sort(&rules));
    assert_null(channel_rules_find(&rules, STR("b")));
    assert_ptr_equal(channel_rules_find(&rules, STR("")), &rules.without_namespace);
}

static void every_namespace_of_many_is_found(void **state)
{
    enum { COUNT = 101 };
    static char names[COUNT][8];
    static struct channel_options options[COUNT];
    (void)state;
    struct channel_rules rules = channel_rules_default();
    for (int i = 0; i < COUNT; i++) {
        int len = snprintf(names[i], sizeof names[i], "n%d", (i * 37) % COUNT);
        options[i].name = str_make(names[i], (size_t)len);
    }
    rules.namespaces = options;
    rules.namespace_count = COUNT;
    assert_true(channel_rules_sort(&rules));
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "n%d:x", i);
        const struct channel_options *found = NULL;
        assert_int_equal(channel_rules_resolve(&rules, str_make(name, (size_t)len), &found), STATUS_OK);
        assert_true(str_equal(found->name, str_make(name, (size_t)len - 2)));
    }
    assert_null(channel_rules_find(&rules, STR("n101")));
    assert_null(channel_rules_find(&rules, STR("n")));
}

static void a_rule_whose_character_is_switched_off_does_not_apply(void **state)
{
    struct channel_rules *rules = rules_of(state);
    rules->without_namespace.allow_user_limited_channels = true;
    rules->private_prefix = '\0';
    rules->namespace_boundary = '\0';
    rules->user_boundary = '\0';
    expect_namespace(state, STR("$other:#1"), "");
    assert_false(channel_is_private(rules, STR("$a")));
    assert_false(channel_is_user_limited(rules, &rules->without_namespace, STR("#1")));
    assert_false(channel_allows_user(rules, STR("#1"), STR("1")));
    char out[8];
    size_t len = 0;
    assert_false(channel_personal_name(rules, STR(""), STR("1"), out, sizeof out, &len));
}

static void the_boundary_characters_are_configurable(void **state)
{
    struct channel_rules *rules = rules_of(state);
    rules->private_prefix = '!';
    rules->namespace_boundary = '/';
    rules->user_boundary = '@';
    rules->user_separator = '+';
    rules->without_namespace.allow_user_limited_channels = true;
    expect_namespace(state, STR("!chat/x:y"), "chat");
    assert_true(channel_is_private(rules, STR("!chat/x")));
    assert_false(channel_is_private(rules, STR("$chat/x")));
    assert_true(channel_allows_user(rules, STR("a@1+2"), STR("2")));
    assert_false(channel_allows_user(rules, STR("a#1,2"), STR("2")));
}

static void a_user_limited_name_admits_exactly_the_listed_users(void **state)
{
    const struct channel_rules *rules = rules_of(state);
    assert_true(channel_allows_user(rules, STR("dialog#42,43"), STR("42")));
    assert_true(channel_allows_user(rules, STR("dialog#42,43"), STR("43")));
    assert_true(channel_allows_user(rules, STR("#42"), STR("42")));
    assert_false(channel_allows_user(rules, STR("dialog#42,43"), STR("4")));
    assert_false(channel_allows_user(rules, STR("dialog#42,43"), STR("42,43")));
    assert_false(channel_allows_user(rules, STR("dialog#42,43"), STR("44")));
    assert_false(channel_allows_user(rules, STR("dialog"), STR("dialog")));
}

static void the_list_starts_after_the_last_user_boundary(void **state)
{
    assert_true(channel_allows_user(rules_of(state), STR("a#1#2"), STR("2")));
    assert_false(channel_allows_user(rules_of(state), STR("a#1#2"), STR("1")));
}

static void an_anonymous_user_is_on_no_list_not_even_an_empty_element(void **state)
{
    assert_false(channel_allows_user(rules_of(state), STR("x#"), STR("")));
    assert_false(channel_allows_user(rules_of(state), STR("x#1,"), STR("")));
    assert_false(channel_allows_user(rules_of(state), STR("x#,1"), STR("")));
    assert_true(channel_allows_user(rules_of(state), STR("x#,1"), STR("1")));
}

static void expect_personal(void **state, struct str namespace_name, struct str user, const char *expected)
{
    char out[300];
    size_t len = 0;
    assert_true(channel_personal_name(rules_of(state), namespace_name, user, out, sizeof out, &len));
    assert_true(str_is(str_make(out, len), expected));
    assert_true(channel_allows_user(rules_of(state), str_make(out, len), user));
}

static void a_personal_channel_is_named_after_its_user(void **state)
{
    expect_personal(state, STR(""), STR("42"), "#42");
    expect_personal(state, STR("chat"), STR("42"), "chat:#42");
    expect_personal(state, STR("chat"), STR("a:b"), "chat:#a:b");
}

static void a_personal_channel_that_would_list_somebody_else_is_not_named(void **state)
{
    char out[32];
    size_t len = 77;
    assert_false(channel_personal_name(rules_of(state), STR(""), STR(""), out, sizeof out, &len));
    assert_false(channel_personal_name(rules_of(state), STR(""), STR("42,43"), out, sizeof out, &len));
    assert_false(channel_personal_name(rules_of(state), STR(""), STR("42#43"), out, sizeof out, &len));
    assert_false(channel_personal_name(rules_of(state), STR(""), STR("a:b"), out, sizeof out, &len));
    assert_int_equal(len, 77);
}

static void a_personal_channel_name_fits_or_is_not_built(void **state)
{
    char out[8] = "zzzzzzzz";
    size_t len = 0;
    assert_true(channel_personal_name(rules_of(state), STR("chat"), STR("1"), out, 7, &len));
    assert_int_equal(len, 7);
    assert_int_equal(out[7], 'z');
    assert_false(channel_personal_name(rules_of(state), STR("chat"), STR("12"), out, 7, &len));
    assert_false(channel_personal_name(rules_of(state), STR("chat"), STR("1"), out, 5, &len));
    assert_false(channel_personal_name(rules_of(state), STR("chat"), STR("1"), out, 0, &len));
    rules_of(state)->max_length = 6;
    assert_false(channel_personal_name(rules_of(state), STR("chat"), STR("1"), out, sizeof out, &len));
}

static void a_private_channel_is_refused_without_a_token_even_to_insecure_clients(void **state)
{
    struct channel_rules *rules = rules_of(state);
    struct channel_options open = {.allow_subscribe_for_client = true};
    struct client_view client = {.user = STR("42"), .is_insecure = true};
    struct refusal why = {0};
    assert_int_equal(permit_subscribe(rules, &open, STR("$a"), &client, &why), STATUS_PERMISSION_DENIED);
    assert_non_null(strstr(why.rule, "private"));
    assert_string_equal(why.option, "");
    assert_int_equal(permit_subscribe(rules, &open, STR("a$"), &client, &why), STATUS_OK);
}

static void the_list_of_a_user_limited_channel_decides_before_the_options(void **state)
{
    struct channel_rules *rules = rules_of(state);
    struct channel_options options = {.allow_user_limited_channels = true,
                                      .allow_subscribe_for_client = true};
    struct client_view listed = {.user = STR("42")};
    struct client_view other = {.user = STR("44"), .is_insecure = true};
    assert_int_equal(permit_subscribe(rules, &options, STR("d#42"), &other, NULL), STATUS_PERMISSION_DENIED);
    options.allow_subscribe_for_client = false;
    assert_int_equal(permit_subscribe(rules, &options, STR("d#42"), &listed, NULL), STATUS_OK);
    options.allow_user_limited_channels = false;
    assert_int_equal(permit_subscribe(rules, &options, STR("d#42"), &listed, NULL), STATUS_PERMISSION_DENIED);
}

static void a_refusal_names_the_rule_and_the_option_that_would_change_it(void **state)
{
    struct channel_rules *rules = rules_of(state);
    struct channel_options options = {0};
    struct client_view user = {.user = STR("42")};
    struct client_view anonymous = {0};
    struct refusal why = {0};

    (void)permit_subscribe(rules, &options, STR("a"), &user, &why);
    assert_string_equal(why.option, "allow_subscribe_for_client");
    options.allow_subscribe_for_client = true;
    (void)permit_subscribe(rules, &options, STR("a"), &anonymous, &why);
    assert_string_equal(why.option, "allow_subscribe_for_anonymous");

    (void)permit_publish(&options, &user, &why);
    assert_string_equal(why.rule, "clients may not publish");
    assert_string_equal(why.option, "allow_publish_for_client");
    options.allow_publish_for_subscriber = true;
    (void)permit_publish(&options, &user, &why);
    assert_string_equal(why.rule, "only subscribers may publish");
    options.allow_publish_for_client = true;
    (void)permit_publish(&options, &anonymous, &why);
    assert_string_equal(why.option, "allow_publish_for_anonymous");
}

static void history_and_presence_that_are_not_configured_are_not_available_to_anyone(void **state)
{
    struct client_view insecure = {.user = STR("42"), .is_insecure = true, .is_subscribed = true};
    struct channel_options options = {.allow_history_for_client = true, .allow_presence_for_client = true};
    struct refusal why = {0};
    (void)state;
    assert_int_equal(permit_presence(&options, &insecure, &why), STATUS_NOT_AVAILABLE);
    assert_string_equal(why.option, "presence");
    assert_int_equal(permit_history(&options, &insecure, &why), STATUS_NOT_AVAILABLE);
    assert_string_equal(why.option, "history_size");
    options.history_size = 1;
    assert_int_equal(permit_history(&options, &insecure, &why), STATUS_NOT_AVAILABLE);
    assert_string_equal(why.option, "history_ttl");
    options.history_size = 0;
    options.history_ttl_ms = 1000;
    assert_int_equal(permit_history(&options, &insecure, &why), STATUS_NOT_AVAILABLE);
    options.history_size = 1;
    options.presence = true;
    assert_int_equal(permit_history(&options, &insecure, &why), STATUS_OK);
    assert_int_equal(permit_presence(&options, &insecure, &why), STATUS_OK);
}

/* One case of the matrix, from the bits of its number. */
struct one_case {
    bool for_client, for_subscriber, for_anonymous, is_anonymous, is_subscribed, is_insecure;
};

static struct one_case case_from_bits(unsigned bits)
{
    return (struct one_case){
        .for_client = (bits & 1) != 0,
        .for_subscriber = (bits & 2) != 0,
        .for_anonymous = (bits & 4) != 0,
        .is_anonymous = (bits & 8) != 0,
        .is_subscribed = (bits & 16) != 0,
        .is_insecure = (bits & 32) != 0,
    };
}

/* PROTOCOL section 10, sentence by sentence. */
static enum status expected_of(struct one_case c)
{
    if (c.is_insecure) {
        return STATUS_OK;
    }
    if (c.is_anonymous && !c.for_anonymous) {
        return STATUS_PERMISSION_DENIED;
    }
    if (c.for_client) {
        return STATUS_OK;
    }
    if (c.for_subscriber && c.is_subscribed) {
        return STATUS_OK;
    }
    return STATUS_PERMISSION_DENIED;
}

static void every_combination_of_options_and_clients_follows_the_protocol(void **state)
{
    struct channel_rules *rules = rules_of(state);
    for (unsigned bits = 0; bits < 64; bits++) {
        struct one_case c = case_from_bits(bits);
        struct client_view client = {.user = c.is_anonymous ? STR("") : STR("42"),
                                     .is_insecure = c.is_insecure,
                                     .is_subscribed = c.is_subscribed};
        struct channel_options publish = {.allow_publish_for_client = c.for_client,
                                          .allow_publish_for_subscriber = c.for_subscriber,
                                          .allow_publish_for_anonymous = c.for_anonymous};
        struct channel_options history = {.history_size = 1,
                                          .history_ttl_ms = 1000,
                                          .allow_history_for_client = c.for_client,
                                          .allow_history_for_subscriber = c.for_subscriber,
                                          .allow_history_for_anonymous = c.for_anonymous};
        struct channel_options presence = {.presence = true,
                                           .allow_presence_for_client = c.for_client,
                                           .allow_presence_for_subscriber = c.for_subscriber,
                                           .allow_presence_for_anonymous = c.for_anonymous};
        struct channel_options subscribe = {.allow_subscribe_for_client = c.for_client,
                                            .allow_subscribe_for_anonymous = c.for_anonymous};
        struct one_case without_subscriber = c;
        without_subscriber.for_subscriber = false;
        assert_int_equal(permit_publish(&publish, &client, NULL), expected_of(c));
        assert_int_equal(permit_history(&history, &client, NULL), expected_of(c));
        assert_int_equal(permit_presence(&presence, &client, NULL), expected_of(c));
        assert_int_equal(permit_subscribe(rules, &subscribe, STR("a"), &client, NULL),
                         expected_of(without_subscriber));
    }
}

/* Each operation looks at its own three options only. */
static void the_options_of_one_operation_open_no_other(void **state)
{
    struct channel_rules *rules = rules_of(state);
    struct client_view client = {.user = STR("42"), .is_subscribed = true};
    struct channel_options all_but_publish = {.presence = true,
                                              .history_size = 1,
                                              .history_ttl_ms = 1000,
                                              .allow_subscribe_for_client = true,
                                              .allow_presence_for_client = true,
                                              .allow_history_for_client = true};
    struct channel_options only_publish = {.presence = true,
                                           .history_size = 1,
                                           .history_ttl_ms = 1000,
                                           .allow_publish_for_client = true,
                                           .allow_publish_for_subscriber = true};
    assert_int_equal(permit_publish(&all_but_publish, &client, NULL), STATUS_PERMISSION_DENIED);
    assert_int_equal(permit_publish(&only_publish, &client, NULL), STATUS_OK);
    assert_int_equal(permit_subscribe(rules, &only_publish, STR("a"), &client, NULL),
                     STATUS_PERMISSION_DENIED);
    assert_int_equal(permit_history(&only_publish, &client, NULL), STATUS_PERMISSION_DENIED);
    assert_int_equal(permit_presence(&only_publish, &client, NULL), STATUS_PERMISSION_DENIED);
}

static void expect_words(const char *words, enum status status, const struct refusal *why,
                         const struct channel_options *options)
{
    struct buf text = {0};
    refusal_append(&text, status, why, options);
    buf_append_char(&text, '\0');
    assert_false(text.failed);
    assert_string_equal(text.at, words);
    buf_release(&text);
}

static void a_refusal_in_words_says_what_to_change_where(void **state)
{
    (void)state;
    struct client_view client = {.user = STR("42")};
    struct channel_options chat = {.name = STR("chat")}, unnamed = {.name = STR("")};
    struct refusal why;
    enum status status = permit_publish(&chat, &client, &why);
    expect_words("permission denied: namespace 'chat' has allow_publish_for_client off", status, &why, &chat);
    status = permit_publish(&unnamed, &client, &why);
    expect_words("permission denied: channels without a namespace have allow_publish_for_client off", status,
                 &why, &unnamed);
    status = permit_presence(&chat, &client, &why);
    expect_words("not available: namespace 'chat' has presence off", status, &why, &chat);
    status = permit_history(&chat, &client, &why);
    expect_words("not available: namespace 'chat' has history_size 0", status, &why, &chat);
    chat.history_size = 1;
    status = permit_history(&chat, &client, &why);
    expect_words("not available: namespace 'chat' has history_ttl 0", status, &why, &chat);
}

static void a_refusal_that_no_option_changes_says_the_rule(void **state)
{
    struct channel_rules *rules = rules_of(state);
    struct client_view client = {.user = STR("42")};
    struct channel_options chat = {.name = STR("chat")};
    struct refusal why;
    enum status status = permit_subscribe(rules, &chat, STR("$chat:a"), &client, &why);
    expect_words("permission denied: a private channel needs a subscription token", status, &why, &chat);
}

static void a_refused_name_says_which_rule_it_breaks(void **state)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"", "bad request: the channel has no name"},
        {"a\nb", "bad request: the channel's name is not UTF-8 or has a control character"},
        {":a", "unknown channel: the channel's name begins with the namespace boundary"},
        {"nowhere:a", "unknown channel: the channel's namespace does not exist (channel.namespaces)"},
        {"chat:ä", "bad request: the channel's name is not ASCII, and no channel_regex admits it"},
        {"letters:x", "bad request: the channel's name does not match channel_regex"},
    };
    struct channel_rules *rules = rules_of(state);
    const struct channel_options *options = NULL;
    struct refusal why;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status status = channel_rules_resolve_why(rules, str_from_cstr(cases[i].name), &options, &why);
        expect_words(cases[i].words, status, &why, NULL);
    }
    rules->max_length = 3;
    assert_int_equal(channel_rules_resolve_why(rules, STR("abc"), &options, &why), STATUS_OK);
    enum status status = channel_rules_resolve_why(rules, STR("abcd"), &options, &why);
    expect_words("bad request: the channel's name is too long (channel.max_length)", status, &why, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_without_boundary_has_the_options_without_namespace),
        TEST(the_text_before_the_first_boundary_is_the_namespace),
        TEST(a_leading_private_prefix_is_not_part_of_the_namespace),
        TEST(an_unknown_namespace_is_an_unknown_channel),
        TEST(a_name_is_one_to_max_length_bytes),
        TEST(a_control_character_is_refused_in_every_namespace),
        TEST(every_printable_ascii_character_may_be_in_a_name),
        TEST(a_name_is_ascii_unless_its_namespace_has_a_regex),
        TEST(the_regex_sees_the_part_after_the_namespace),
        TEST(malformed_utf8_is_refused_even_where_a_regex_admits_other_letters),
        TEST(a_namespace_that_occurs_twice_is_found_when_sorting),
        TEST(every_namespace_of_many_is_found),
        TEST(a_rule_whose_character_is_switched_off_does_not_apply),
        TEST(the_boundary_characters_are_configurable),
        TEST(a_user_limited_name_admits_exactly_the_listed_users),
        TEST(the_list_starts_after_the_last_user_boundary),
        TEST(an_anonymous_user_is_on_no_list_not_even_an_empty_element),
        TEST(a_personal_channel_is_named_after_its_user),
        TEST(a_personal_channel_that_would_list_somebody_else_is_not_named),
        TEST(a_personal_channel_name_fits_or_is_not_built),
        TEST(a_private_channel_is_refused_without_a_token_even_to_insecure_clients),
        TEST(the_list_of_a_user_limited_channel_decides_before_the_options),
        TEST(a_refusal_names_the_rule_and_the_option_that_would_change_it),
        TEST(history_and_presence_that_are_not_configured_are_not_available_to_anyone),
        TEST(every_combination_of_options_and_clients_follows_the_protocol),
        TEST(the_options_of_one_operation_open_no_other),
        TEST(a_refusal_in_words_says_what_to_change_where),
        TEST(a_refusal_that_no_option_changes_says_the_rule),
        TEST(a_refused_name_says_which_rule_it_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
