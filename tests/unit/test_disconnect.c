#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/disconnect.h"

static void disconnects_have_the_codes_of_the_protocol(void **state)
{
    (void)state;
    assert_int_equal(DISCONNECT_CONNECTION_CLOSED.code, 3000);
    assert_int_equal(DISCONNECT_NO_PONG.code, 3012);
    assert_int_equal(DISCONNECT_BAD_REQUEST.code, 3501);
    assert_true(str_is(DISCONNECT_BAD_REQUEST.reason, "bad request"));
    assert_true(str_is(DISCONNECT_FORCE_NO_RECONNECT.reason, "force disconnect"));
    assert_int_equal(DISCONNECT_TOO_MANY_ERRORS.code, 3509);
#define ROW(name, number, text) assert_true(DISCONNECT_##name.reason.len <= 123);
    DISCONNECTS(ROW)
#undef ROW
}

static void terminal_codes_are_told_from_the_others(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        bool terminal;
    } rows[] = {{3000, false}, {3499, false}, {3500, true}, {3999, true},  {4000, false},
                {4499, false}, {4500, true},  {4999, true}, {5000, false}, {1000, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(disconnect_is_terminal(rows[i].code), rows[i].terminal);
    }
    assert_true(unsubscribe_is_final(UNSUBSCRIBE_SERVER.code));
    assert_true(unsubscribe_is_final(2499));
    assert_false(unsubscribe_is_final(2500));
    assert_false(unsubscribe_is_final(UNSUBSCRIBE_EXPIRED.code));
    assert_false(unsubscribe_is_final(UNSUBSCRIBE_STATE_INVALIDATED.code));
}

static void errors_become_disconnects_where_there_are_no_replies(void **state)
{
    (void)state;
    assert_int_equal(disconnect_from_error(109).code, 3005);
    assert_int_equal(disconnect_from_error(110).code, 3005);
    assert_int_equal(disconnect_from_error(111).code, 3013);
    assert_int_equal(disconnect_from_error(103).code, 3507);
    assert_int_equal(disconnect_from_error(100).code, 3004);
    assert_int_equal(disconnect_from_error(1999).code, 3004);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disconnects_have_the_codes_of_the_protocol),
        cmocka_unit_test(terminal_codes_are_told_from_the_others),
        cmocka_unit_test(errors_become_disconnects_where_there_are_no_replies),
    };
    return cmocka_run_group_tests_name("disconnect", tests, NULL, NULL);
}
