#include "channels/presence.h"

#include "tests/support/fail_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void add(struct presence *presence, const char *client, const char *user)
{
    assert_true(presence_add(presence, str_from_cstr(client), str_from_cstr(user), str_from_cstr(client)));
}

static void leave(struct presence *presence, const char *client)
{
    presence_remove(presence, str_from_cstr(client));
}

/* The clients of an answer as text: "a b". */
static const char *clients(const struct presence *presence, uint32_t limit)
{
    static char text[200];
    struct presence_entry *entries = NULL;
    size_t count = 0;
    assert_int_equal(presence_list(presence, limit, &entries, &count), STATUS_OK);
    int len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        len += snprintf(text + len, sizeof text - (size_t)len, i == 0 ? "%.*s=%.*s" : " %.*s=%.*s",
                        STR_ARG(entries[i].client), STR_ARG(entries[i].info));
    }
    free(entries);
    return text;
}

static void users_are_counted_once_however_many_clients_they_have(void **state)
{
    (void)state;
    struct presence presence = {0};
    add(&presence, "a1", "alice");
    add(&presence, "a2", "alice");
    add(&presence, "b1", "bob");
    assert_int_equal(presence_client_count(&presence), 3);
    assert_int_equal(presence_user_count(&presence), 2);
    leave(&presence, "a1");
    assert_int_equal(presence_user_count(&presence), 2);
    leave(&presence, "a2");
    assert_int_equal(presence_user_count(&presence), 1);
    leave(&presence, "b1");
    assert_int_equal(presence_client_count(&presence), 0);
    assert_int_equal(presence_user_count(&presence), 0);
    assert_null(presence.clients);
    assert_null(presence.users);
}

static void anonymous_clients_are_one_user(void **state)
{
    (void)state;
    struct presence presence = {0};
    assert_true(presence_add(&presence, STR("c1"), (struct str){NULL, 0}, (struct str){NULL, 0}));
    assert_true(presence_add(&presence, STR("c2"), (struct str){NULL, 0}, (struct str){NULL, 0}));
    assert_int_equal(presence_client_count(&presence), 2);
    assert_int_equal(presence_user_count(&presence), 1);
    assert_string_equal(clients(&presence, 0), "c1= c2=");
    presence_release(&presence);
}

static void the_list_is_in_order_of_joining_and_cut_at_the_limit(void **state)
{
    (void)state;
    struct presence presence = {0};
    assert_string_equal(clients(&presence, 0), "");
    add(&presence, "a", "u");
    add(&presence, "b", "u");
    add(&presence, "c", "u");
    assert_string_equal(clients(&presence, 0), "a=a b=b c=c");
    assert_string_equal(clients(&presence, 2), "a=a b=b");
    assert_string_equal(clients(&presence, 3), "a=a b=b c=c");
    assert_string_equal(clients(&presence, 4), "a=a b=b c=c");
    leave(&presence, "a");
    assert_string_equal(clients(&presence, 2), "b=b c=c");
    presence_release(&presence);
}

static void a_client_that_joins_twice_is_there_once_with_its_newest_info(void **state)
{
    (void)state;
    struct presence presence = {0};
    add(&presence, "a", "alice");
    assert_true(presence_add(&presence, STR("a"), STR("bob"), STR("new")));
    assert_int_equal(presence_client_count(&presence), 1);
    assert_int_equal(presence_user_count(&presence), 1);
    assert_string_equal(clients(&presence, 0), "a=new");
    leave(&presence, "a");
    leave(&presence, "a"); /* not there: nothing happens */
    assert_int_equal(presence_user_count(&presence), 0);
    presence_release(&presence);
}

/* Counted in allocations, since a clock would make the test flicker. */
static void joining_costs_the_same_in_a_large_channel_j12(void **state)
{
    (void)state;
    struct presence presence = {0};
    char name[16];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "c%u", i);
        add(&presence, name, "user");
    }
    size_t before = fail_alloc_count();
    for (unsigned i = 0; i < 1000; i++) {
        add(&presence, "guest", "guest");
        leave(&presence, "guest");
    }
    /* Client, user, and at most one growth of each table. */
    assert_true(fail_alloc_count() - before <= 2 * 1000 + 2);
    presence_release(&presence);
}

static void without_memory_nobody_joins_and_nobody_is_counted(void **state)
{
    (void)state;
    bool failed = true;
    for (size_t n = 0; failed; n++) {
        struct presence presence = {0};
        fail_alloc_at(n);
        bool added = presence_add(&presence, STR("c"), STR("u"), STR("{}"));
        failed = fail_alloc_stop();
        assert_int_equal(added, !failed);
        assert_int_equal(presence_client_count(&presence), added);
        assert_int_equal(presence_user_count(&presence), added);
        presence_release(&presence);
        assert_true(n < 20);
    }
    struct presence presence = {0};
    add(&presence, "a", "u");
    struct presence_entry *entries;
    size_t count;
    fail_alloc_at(0);
    assert_int_equal(presence_list(&presence, 0, &entries, &count), STATUS_NO_MEMORY);
    fail_alloc_stop();
    presence_release(&presence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_counted_once_however_many_clients_they_have),
        cmocka_unit_test(anonymous_clients_are_one_user),
        cmocka_unit_test(the_list_is_in_order_of_joining_and_cut_at_the_limit),
        cmocka_unit_test(a_client_that_joins_twice_is_there_once_with_its_newest_info),
        cmocka_unit_test(joining_costs_the_same_in_a_large_channel_j12),
        cmocka_unit_test(without_memory_nobody_joins_and_nobody_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
