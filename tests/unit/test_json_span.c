#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/json_span.h"

#include <stdio.h>
#include <stdlib.h>

/* A text with its length, so that a NUL can stand in it. */
#define TEXT(literal)                  \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

/* Each text is looked at in memory of exactly its size, so that the sanitizer sees a read past its end. */
static bool is_valid(struct str text, unsigned depth_max)
{
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    char *at = copy + 1;
    memcpy(at, text.at, text.len);
    bool valid = json_validate(str_make(at, text.len), depth_max);
    free(copy);
    return valid;
}

static const struct str valid_texts[] = {
    /* structure */
    TEXT("[]"),
    TEXT("{}"),
    TEXT("[[]]"),
    TEXT("[[],[[]]]"),
    TEXT("{\"\":0}"),
    TEXT("{\"a\":[]}"),
    TEXT("{\"a\":{\"b\":{}}}"),
    TEXT("{\"a\":1,\"b\":2}"),
    TEXT("{\"a\":1,\"a\":1}"),
    TEXT("{\"a\":\"b\",\"a\":\"c\"}"),
    TEXT("{\"asd\":\"sdf\", \"dfg\":\"fgh\"}"),
    TEXT("{\"foo\\u0000bar\": 42}"),
    TEXT("{\"min\":-1.0e+28,\"max\":1.0e+28}"),
    TEXT("{\"title\":\"\\u041f\\u043e\"}"),
    TEXT("[null,1,\"1\",{}]"),
    TEXT("[1,null,null,null,2]"),
    TEXT("[false]"),
    TEXT("[true]"),
    /* white space */
    TEXT(" [] "),
    TEXT("\t\r\n []\t\r\n "),
    TEXT("[1\n]"),
    TEXT("[\t1\t,\r\n2 ]"),
    TEXT("{ \"a\" : [ 1 , 2 ] }"),
    TEXT("{\n\"a\"\n:\n\"b\"\n}"),
    TEXT("[\"a\"]\n"),
    /* values alone */
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("\"\""),
    TEXT("\"asd\""),
    TEXT("42"),
    TEXT("-0.1"),
    TEXT(" 7 "),
    /* numbers */
    TEXT("0"),
    TEXT("-0"),
    TEXT("-0.0"),
    TEXT("0.1000"),
    TEXT("[123e65]"),
    TEXT("[0e+1]"),
    TEXT("[0e1]"),
    TEXT("[0E1]"),
    TEXT("[-1]"),
    TEXT("[-123]"),
    TEXT("[1E22]"),
    TEXT("[1E-2]"),
    TEXT("[1E+2]"),
    TEXT("[123e45]"),
    TEXT("[123.456e78]"),
    TEXT("[123.456789]"),
    TEXT("[20e1]"),
    TEXT("[1e400]"),
    TEXT("[-1e+9999]"),
    TEXT("[123123e100000]"),
    TEXT("[12345678901234567890123456789012345678901234567890]"),
    TEXT("[-0.00000000000000000000000000000000000000000000000000000000000000000000000000001]"),
    /* strings */
    TEXT("[\"\\u0060\\u012a\\u12AB\"]"),
    TEXT("[\"\\uD801\\udc37\"]"),
    TEXT("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    TEXT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    TEXT("[\"\\\\u0000\"]"),
    TEXT("[\"\\\"\"]"),
    TEXT("[\"a/*b*/c/*d//e\"]"),
    TEXT("[\"\\\\a\"]"),
    TEXT("[\"\\\\n\"]"),
    TEXT("[\"\\u0012\"]"),
    TEXT("[\"\\u0000\"]"),
    TEXT("[\"\\uFFFF\"]"),
    TEXT("[\"\x7f\"]"),
    TEXT("[\"\\uD800\"]"),        /* lone surrogates pass: they are the payload's business */
    TEXT("[\"\\uDd1e\\uD834\"]"), /* a pair the wrong way round */
    TEXT("[\"\\uD800\\n\"]"),
    TEXT("[\" \"]"),
    TEXT("[\"\xc2\x80\"]"),
    TEXT("[\"\xdf\xbf\"]"),
    TEXT("[\"\xe0\xa0\x80\"]"),
    TEXT("[\"\xec\xbf\xbf\"]"),
    TEXT("[\"\xed\x9f\xbf\"]"),
    TEXT("[\"\xee\x80\x80\"]"),
    TEXT("[\"\xef\xbf\xbf\"]"),
    TEXT("[\"\xe2\x80\xa8\xe2\x80\xa9\"]"),
    TEXT("[\"\xf0\x90\x80\x80\"]"),
    TEXT("[\"\xf3\xbf\xbf\xbf\"]"),
    TEXT("[\"\xf4\x8f\xbf\xbf\"]"),
    TEXT("[\"\xe2\x82\xac\xf0\x9d\x84\x9e\xc3\xa9"
         "abc\"]"),
    TEXT("\"12345678\""),
    TEXT("\"1234567\xc3\xa9\""),
    TEXT("\"12345678\\n12345678\""),
};

static const struct str invalid_texts[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("\n\n"),
    TEXT("\0"),
    /* what is around */
    TEXT("\xef\xbb\xbf{}"),
    TEXT("\xef\xbb\xbf"),
    TEXT("\xff\xfe[\0]\0"),
    TEXT("{}\0"),
    TEXT("{} x"),
    TEXT("{}{}"),
    TEXT("[]]"),
    TEXT("[1]x"),
    TEXT("{}}"),
    TEXT("{\"a\":\"b\"}/**/"),
    TEXT("{\"a\":\"b\"}//"),
    TEXT("\"\" \"\""),
    TEXT("1 2"),
    TEXT("\f[]"),
    TEXT("[\v]"),
    TEXT("[\xc2\xa0]"),
    TEXT("\xe2\x81\xa0[]"),
    /* arrays */
    TEXT("["),
    TEXT("]"),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[,]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1 true]"),
    TEXT("[\"a\" \"b\"]"),
    TEXT("[\"a\":1]"),
    TEXT("[3[4]]"),
    TEXT("[1}"),
    TEXT("[}"),
    TEXT("[*]"),
    TEXT("[x"),
    TEXT("[\"\": 1]"),
    TEXT("[{}"),
    TEXT("[[]"),
    /* objects */
    TEXT("{"),
    TEXT("}"),
    TEXT("{]"),
    TEXT("{,}"),
    TEXT("{\"a\""),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\":1"),
    TEXT("{\"a\":1,"),
    TEXT("{\"a\":1,}"),
    TEXT("{\"a\":1,,\"b\":2}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\" \"b\"}"),
    TEXT("{\"a\",\"b\"}"),
    TEXT("{\"a\"::\"b\"}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":\"b\" 123}"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{[]:1}"),
    TEXT("{\"a\":1]"),
    TEXT("{\"a\":\"b\"}#"),
    TEXT("{\"a\":/*x*/1}"),
    /* words */
    TEXT("nul"),
    TEXT("tru"),
    TEXT("fals"),
    TEXT("nulll"),
    TEXT("True"),
    TEXT("TRUE"),
    TEXT("[nan]"),
    TEXT("[NaN]"),
    TEXT("[-NaN]"),
    TEXT("[Infinity]"),
    TEXT("[-Infinity]"),
    TEXT("[undefined]"),
    TEXT("[truefalse]"),
    /* numbers */
    TEXT("-"),
    TEXT("+1"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("1."),
    TEXT("[1.]"),
    TEXT(".1"),
    TEXT("-.1"),
    TEXT("[1.e1]"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1e-"),
    TEXT("1E"),
    TEXT("[0e]"),
    TEXT("[0.3e]"),
    TEXT("[0.3e+]"),
    TEXT("[1eE2]"),
    TEXT("[1e1.0]"),
    TEXT("[1.2.3]"),
    TEXT("[--1]"),
    TEXT("[-1x]"),
    TEXT("[1+2]"),
    TEXT("[0x1]"),
    TEXT("[1_000]"),
    TEXT("[1 000]"),
    TEXT("[- 1]"),
    TEXT("[-012]"),
    TEXT("[2.e3]"),
    TEXT("[1a]"),
    TEXT("[\xef\xbc\x91]"),
    /* strings */
    TEXT("\""),
    TEXT("\"a"),
    TEXT("'a'"),
    TEXT("[\"a"),
    TEXT("\"\\"),
    TEXT("\"\\\""),
    TEXT("\"\\\\\\\""),
    TEXT("[\"\\a\"]"),
    TEXT("[\"\\x00\"]"),
    TEXT("[\"\\0\"]"),
    TEXT("[\"\\'\"]"),
    TEXT("[\"\\U0041\"]"),
    TEXT("[\"\\u\"]"),
    TEXT("[\"\\u00\"]"),
    TEXT("[\"\\u00A\"]"),
    TEXT("[\"\\u00AG\"]"),
    TEXT("[\"\\u 123\"]"),
    TEXT("\"\\u123"),
    TEXT("[\"\\\t\"]"),
    TEXT("[\"\\\n\"]"),
    TEXT("[\"\\\xc3\xa9\"]"),
    TEXT("[\"\t\"]"),
    TEXT("[\"\n\"]"),
    TEXT("[\"\r\"]"),
    TEXT("[\"a\0b\"]"),
    TEXT("[\"\x1f\"]"),
    TEXT("[\"12345678\x01\"]"),
    TEXT("[\"1234567\x1f"
         "89012345678\"]"),
    TEXT("{\"a\nb\":1}"),
    TEXT("{\"\xff\":1}"),
    /* UTF-8 */
    TEXT("[\"\x80\"]"),
    TEXT("[\"\xbf\"]"),
    TEXT("[\"\xff\"]"),
    TEXT("[\"\xfe\"]"),
    TEXT("[\"\xc0\xaf\"]"),
    TEXT("[\"\xc1\xbf\"]"),
    TEXT("[\"\xc2\"]"),
    TEXT("[\"\xc2\x7f\"]"),
    TEXT("[\"\xc2\xc0\"]"),
    TEXT("[\"\xe0\x80\xaf\"]"),
    TEXT("[\"\xe0\x9f\xbf\"]"),
    TEXT("[\"\xe2\x82\"]"),
    TEXT("[\"\xe2\x82\x28\"]"),
    TEXT("[\"\xed\xa0\x80\"]"),
    TEXT("[\"\xed\xbf\xbf\"]"),
    TEXT("[\"\xf0\x8f\xbf\xbf\"]"),
    TEXT("[\"\xf0\x90\x80\"]"),
    TEXT("[\"\xf4\x90\x80\x80\"]"),
    TEXT("[\"\xf5\x80\x80\x80\"]"),
    TEXT("[\"\xf8\x88\x80\x80\x80\"]"),
    TEXT("\"\xe2\x82"),
    TEXT("\"\xc3"),
    TEXT("[\xe9]"),
    TEXT("\xe5"),
};

static void every_valid_text_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof valid_texts / sizeof valid_texts[0]; i++) {
        if (!is_valid(valid_texts[i], JSON_DEPTH_DEFAULT)) {
            fail_msg("refused: %.*s", STR_ARG(valid_texts[i]));
        }
    }
}

static void every_invalid_text_is_refused_J01(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof invalid_texts / sizeof invalid_texts[0]; i++) {
        if (is_valid(invalid_texts[i], JSON_DEPTH_DEFAULT)) {
            fail_msg("accepted row %zu: %.*s", i, STR_ARG(invalid_texts[i]));
        }
    }
}

static void a_valid_object_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct str text =
        STR("{\"a\":[1,-2.5e+3,\"x\\u00e9\\n\xc3\xa9\xf0\x9d\x84\x9e\",true,false,null],\"bc\":{}}");
    for (size_t len = 0; len < text.len; len++) {
        assert_false(is_valid(str_first(text, len), JSON_DEPTH_DEFAULT));
    }
    assert_true(is_valid(text, JSON_DEPTH_DEFAULT));
}

static void every_byte_is_judged_at_every_place_of_a_word(void **state)
{
    (void)state;
    for (unsigned place = 0; place < 20; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[24];
            memset(text, 'x', sizeof text);
            text[0] = '"';
            text[1 + place] = (char)byte;
            text[21] = '"';
            bool expected = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            assert_int_equal(is_valid(str_make(text, 22), 0), expected);
        }
    }
}

/* `levels` brackets of each kind around nothing. */
static struct str nested(struct buf *buf, const char *open, const char *close, size_t levels)
{
    buf_reset(buf);
    for (size_t i = 0; i < levels; i++) {
        buf_append_str(buf, str_from_cstr(open));
    }
    buf_append_lit(buf, "0");
    for (size_t i = 0; i < levels; i++) {
        buf_append_str(buf, str_from_cstr(close));
    }
    return buf_str(buf);
}

static void nesting_is_bounded_J02(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_true(is_valid(STR("0"), 0));
    assert_false(is_valid(STR("[]"), 0));
    assert_true(is_valid(STR("[]"), 1));
    assert_false(is_valid(STR("{\"a\":[]}"), 1));
    assert_true(is_valid(nested(&buf, "[", "]", 31), 32));
    assert_true(is_valid(nested(&buf, "[", "]", 32), 32));
    assert_false(is_valid(nested(&buf, "[", "]", 33), 32));
    assert_true(is_valid(nested(&buf, "{\"a\":", "}", 32), 32));
    assert_false(is_valid(nested(&buf, "{\"a\":", "}", 33), 32));
    assert_true(is_valid(nested(&buf, "[", "]", JSON_DEPTH_LIMIT), UINT32_MAX));
    assert_false(is_valid(nested(&buf, "[", "]", JSON_DEPTH_LIMIT + 1), UINT32_MAX));
    assert_false(is_valid(nested(&buf, "[", "]", 100000), UINT32_MAX));

    struct json_member member = {.name = "a"};
    struct str two = nested(&buf, "{\"a\":", "}", 2);
    assert_int_equal(json_object_read(two, &member, 1, 2), JSON_READ_OK);
    assert_int_equal(json_object_read(two, &member, 1, 1), JSON_READ_INVALID);
    assert_int_equal(json_object_read(two, &member, 1, 0), JSON_READ_INVALID);
    buf_release(&buf);
}

static void a_hundred_thousand_members_are_read_once_J02(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_lit(&buf, "{");
    for (unsigned i = 0; i < 100000; i++) {
        buf_printf(&buf, "\"key%u\":[%u],", i, i);
    }
    buf_append_lit(&buf, "\"id\":7}");
    struct json_member member = {.name = "id"};
    assert_int_equal(json_object_read(buf_str(&buf), &member, 1, 32), JSON_READ_OK);
    assert_true(str_is(member.value, "7"));
    buf_release(&buf);
}

static void an_object_gives_the_spans_that_were_asked_for(void **state)
{
    (void)state;
    struct json_member members[] = {{.name = "id"}, {.name = "data"}, {.name = "token"}, {.name = "a"}};
    struct str text = STR(" { \"data\" : { \"x\" : [1 , 2] } ,\"other\":null, \"id\":1e2 ,\"a\":\"\\\"}\"} ");
    assert_int_equal(json_object_read(text, members, 4, 32), JSON_READ_OK);
    assert_true(str_is(members[0].value, "1e2"));
    assert_true(str_is(members[1].value, "{ \"x\" : [1 , 2] }"));
    assert_null(members[2].value.at);
    assert_true(str_is(members[3].value, "\"\\\"}\""));

    assert_int_equal(json_object_members(str_make(text.at + 1, text.len - 2), members, 4), JSON_READ_OK);
    assert_true(str_is(members[0].value, "1e2"));
    assert_true(str_is(members[1].value, "{ \"x\" : [1 , 2] }"));
    assert_null(members[2].value.at);
    assert_true(str_is(members[3].value, "\"\\\"}\""));
}

static void an_empty_object_has_no_members(void **state)
{
    (void)state;
    struct json_member member = {.name = "id", .value = STR("stale")};
    assert_int_equal(json_object_read(STR("{ }"), &member, 1, 32), JSON_READ_OK);
    assert_null(member.value.at);
    member.value = STR("stale");
    assert_int_equal(json_object_members(STR("{}"), &member, 1), JSON_READ_OK);
    assert_null(member.value.at);
    assert_int_equal(json_object_read(STR("{\"x\":1}"), NULL, 0, 32), JSON_READ_OK);
}

static void an_object_reader_refuses_everything_else_J01(void **state)
{
    (void)state;
    struct json_member member = {.name = "id"};
    assert_int_equal(json_object_read(STR(""), &member, 1, 32), JSON_READ_EMPTY);
    assert_int_equal(json_object_read((struct str){0}, &member, 1, 32), JSON_READ_EMPTY);
    assert_int_equal(json_object_read(STR(" \n"), &member, 1, 32), JSON_READ_EMPTY);
    assert_int_equal(json_object_read(STR("[]"), &member, 1, 32), JSON_READ_NOT_OBJECT);
    assert_int_equal(json_object_read(STR("null"), &member, 1, 32), JSON_READ_NOT_OBJECT);
    assert_int_equal(json_object_read(STR("x"), &member, 1, 32), JSON_READ_INVALID);
    assert_int_equal(json_object_read(STR("{} x"), &member, 1, 32), JSON_READ_INVALID);
    assert_int_equal(json_object_read(STR("{}{}"), &member, 1, 32), JSON_READ_INVALID);
    assert_int_equal(json_object_read(STR("{} {}"), &member, 1, 32), JSON_READ_INVALID);
    assert_int_equal(json_object_read(STR("{\"id\":1,}"), &member, 1, 32), JSON_READ_INVALID);
    assert_int_equal(json_object_members(STR("[]"), &member, 1), JSON_READ_NOT_OBJECT);
    for (size_t i = 0; i < sizeof invalid_texts / sizeof invalid_texts[0]; i++) {
        assert_int_not_equal(json_object_read(invalid_texts[i], &member, 1, 32), JSON_READ_OK);
    }
}

static void a_member_that_is_there_twice_is_refused_J03(void **state)
{
    (void)state;
    struct json_member member = {.name = "id"};
    struct str text = STR("{\"id\":1,\"x\":2,\"id\":1}");
    assert_int_equal(json_object_read(text, &member, 1, 32), JSON_READ_DUPLICATE);
    assert_int_equal(json_object_members(text, &member, 1), JSON_READ_DUPLICATE);
    struct str hidden = STR("{\"id\":1,\"\\u0069d\":2}");
    assert_int_equal(json_object_read(hidden, &member, 1, 32), JSON_READ_DUPLICATE);
    assert_int_equal(json_object_members(hidden, &member, 1), JSON_READ_DUPLICATE);
    /* Deeper levels and unknown members are the payload's own affair. */
    assert_int_equal(json_object_read(STR("{\"id\":{\"id\":1,\"id\":2},\"x\":1,\"x\":2}"), &member, 1, 32),
                     JSON_READ_OK);
}

static void names_are_compared_as_text(void **state)
{
    (void)state;
    static const char *const equal[] = {"{\"a/\\\"\xc3\xa9\":1}", "{\"\\u0061\\/\\\"\\u00e9\":1}",
                                        "{\"a\\u002F\\u0022\\u00E9\":1}"};
    static const char *const different[] = {"{\"a/\\\"\":1}",  "{\"a/\\\"\xc3\xa9x\":1}",
                                            "{\"\":1}",        "{\"a/\\\"\\u00ea\":1}",
                                            "{\"\\u0000\":1}", "{\"\\ud800\":1}"};
    struct json_member member = {.name = "a/\"\xc3\xa9"};
    for (size_t i = 0; i < sizeof equal / sizeof equal[0]; i++) {
        assert_int_equal(json_object_read(str_from_cstr(equal[i]), &member, 1, 32), JSON_READ_OK);
        assert_true(str_is(member.value, "1"));
    }
    for (size_t i = 0; i < sizeof different / sizeof different[0]; i++) {
        assert_int_equal(json_object_read(str_from_cstr(different[i]), &member, 1, 32), JSON_READ_OK);
        assert_null(member.value.at);
    }
    /* A prefix in either direction is another name. */
    struct json_member sub = {.name = "sub"};
    assert_int_equal(json_object_read(STR("{\"subs\":1,\"su\":2}"), &sub, 1, 32), JSON_READ_OK);
    assert_null(sub.value.at);
}

static void a_run_of_texts_is_taken_one_by_one(void **state)
{
    (void)state;
    struct json_member member = {.name = "n"};
    struct str rest = STR("\n{\"n\":1}\n{\"n\":\n 2}\r\n\n {\"n\":3} ");
    for (unsigned n = 1; n <= 3; n++) {
        uint32_t value = 0;
        assert_int_equal(json_object_read_next(&rest, &member, 1, 32), JSON_READ_OK);
        assert_true(json_get_u32(member.value, &value));
        assert_int_equal(value, n);
    }
    assert_int_equal(rest.len, 0);
    assert_int_equal(json_object_read_next(&rest, &member, 1, 32), JSON_READ_EMPTY);

    struct str joined = STR("{}{}");
    assert_int_equal(json_object_read_next(&joined, &member, 1, 32), JSON_READ_INVALID);
    assert_int_equal(joined.len, 4);
}

static void an_array_is_walked_to_its_end(void **state)
{
    (void)state;
    static const char *const expected[] = {"1", "\"],\\\"\"", "[2,[3]]", "{\"a\":[]}", "null", "-1e5"};
    struct str rest = STR("[ 1 ,\"],\\\"\",[2,[3]] , {\"a\":[]},null,-1e5 ]");
    struct str value;
    for (size_t i = 0; i < 6; i++) {
        assert_true(json_array_next(&rest, &value));
        assert_true(str_is(value, expected[i]));
    }
    assert_false(json_array_next(&rest, &value));
    assert_false(json_array_next(&rest, &value));

    struct str none = STR("[ ]"), object = STR("{\"a\":1}"), text = STR("\"a\""), nothing = {0};
    assert_false(json_array_next(&none, &value));
    assert_false(json_array_next(&object, &value));
    assert_false(json_array_next(&text, &value));
    assert_false(json_array_next(&nothing, &value));
}

static void an_object_is_walked_to_its_end(void **state)
{
    (void)state;
    struct str rest = STR("{ \"a\" : 1 ,\"b\\\"\":{\"c\":[\"}\"]}, \"\":\"x\"}");
    struct str name, value;
    assert_true(json_object_next(&rest, &name, &value));
    assert_true(str_is(name, "\"a\"") && str_is(value, "1"));
    assert_true(json_object_next(&rest, &name, &value));
    assert_true(json_string_is(name, "b\"") && str_is(value, "{\"c\":[\"}\"]}"));
    assert_true(json_object_next(&rest, &name, &value));
    assert_true(str_is(name, "\"\"") && str_is(value, "\"x\""));
    assert_false(json_object_next(&rest, &name, &value));

    struct str none = STR("{}"), array = STR("[1]"), nothing = {0};
    assert_false(json_object_next(&none, &name, &value));
    assert_false(json_object_next(&array, &name, &value));
    assert_false(json_object_next(&nothing, &name, &value));
}

static void iterators_stay_inside_what_is_no_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof invalid_texts / sizeof invalid_texts[0]; i++) {
        char *copy = malloc(invalid_texts[i].len + 1);
        assert_non_null(copy);
        memcpy(copy + 1, invalid_texts[i].at, invalid_texts[i].len);
        struct str span = str_make(copy + 1, invalid_texts[i].len);
        struct str rest = span, name, value;
        while (json_array_next(&rest, &value)) {
            assert_true(value.at + value.len <= span.at + span.len);
        }
        rest = span;
        while (json_object_next(&rest, &name, &value)) {
            assert_true(value.at + value.len <= span.at + span.len);
        }
        free(copy);
    }
}

static void a_kind_is_told_by_the_first_byte(void **state)
{
    (void)state;
    assert_int_equal(json_kind(STR("{}")), JSON_KIND_OBJECT);
    assert_int_equal(json_kind(STR("[]")), JSON_KIND_ARRAY);
    assert_int_equal(json_kind(STR("\"\"")), JSON_KIND_STRING);
    assert_int_equal(json_kind(STR("true")), JSON_KIND_BOOL);
    assert_int_equal(json_kind(STR("false")), JSON_KIND_BOOL);
    assert_int_equal(json_kind(STR("null")), JSON_KIND_NULL);
    assert_int_equal(json_kind(STR("-1")), JSON_KIND_NUMBER);
    assert_int_equal(json_kind(STR("9")), JSON_KIND_NUMBER);
    assert_int_equal(json_kind(STR("x")), JSON_KIND_NONE);
    assert_int_equal(json_kind((struct str){0}), JSON_KIND_NONE);
}

static void a_string_is_borrowed_unless_it_has_escapes(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct str out = {0};
    struct str plain = STR("\"room:7\xc3\xa9\"");
    assert_true(json_get_string(plain, &scratch, &out));
    assert_ptr_equal(out.at, plain.at + 1);
    assert_int_equal(out.len, plain.len - 2);
    assert_true(json_get_string(STR("\"\""), &scratch, &out));
    assert_int_equal(out.len, 0);
    assert_int_equal(scratch.len, 0);

    assert_true(json_get_string(STR("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\""), &scratch, &out));
    assert_true(str_is(out, "a\"\\/\b\f\n\r\tz"));
    size_t before = scratch.len;
    assert_true(
        json_get_string(STR("\"\\u0041\\u00e9\\u20AC\\ud834\\udd1e\\uffff\\u0001\""), &scratch, &out));
    assert_true(str_is(out, "A\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\xef\xbf\xbf\x01"));
    assert_int_equal(scratch.len, before + out.len);
    assert_true(json_get_string(STR("\"\\ud800\\udc00\\udbff\\udfff\""), &scratch, &out));
    assert_true(str_is(out, "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    buf_release(&scratch);
}

static void lone_surrogates_and_nul_make_no_name_J04(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "\"\\u0000\"",        "\"a\\u0000b\"",  "\"\\ud800\"",        "\"\\udc00\"",
        "\"\\ud800x\"",       "\"\\ud800\\n\"", "\"\\ud800\\ud800\"", "\"\\udc00\\ud800\"",
        "\"\\ud800\\u0041\"", "\"ab\\udfff\"",  "\"\\udbff\\ue000\"", "\"\\udbff\\udbff\\udc00\"",
    };
    struct buf scratch = {0};
    buf_append_lit(&scratch, "kept");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct str out = STR("untouched");
        struct str span = str_from_cstr(refused[i]);
        assert_true(json_validate(span, 0));
        assert_false(json_get_string(span, &scratch, &out));
        assert_true(str_is(out, "untouched"));
        assert_true(str_is(buf_str(&scratch), "kept"));
    }
    buf_release(&scratch);
}

static void only_a_string_is_a_string(void **state)
{
    (void)state;
    static const char *const others[] = {"1", "null", "true", "[\"a\"]", "{\"a\":\"b\"}", "", "\""};
    struct buf scratch = {0};
    struct str out;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(json_get_string(str_from_cstr(others[i]), &scratch, &out));
        assert_false(json_string_is(str_from_cstr(others[i]), "a"));
    }
    assert_false(json_get_string((struct str){0}, &scratch, &out));
    assert_true(json_string_is(STR("\"fossil\""), "fossil"));
    assert_true(json_string_is(STR("\"f\\u006fssil\""), "fossil"));
    assert_false(json_string_is(STR("\"fossils\""), "fossil"));
    assert_false(json_string_is(STR("\"fossi\""), "fossil"));
}

static void integers_are_bounded_by_their_type_J01(void **state)
{
    (void)state;
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    int32_t i32 = 0;
    int64_t i64 = 0;
    assert_true(json_get_u32(STR("0"), &u32) && u32 == 0);
    assert_true(json_get_u32(STR("4294967294"), &u32) && u32 == UINT32_MAX - 1);
    assert_true(json_get_u32(STR("4294967295"), &u32) && u32 == UINT32_MAX);
    assert_false(json_get_u32(STR("4294967296"), &u32));
    assert_true(json_get_u64(STR("9007199254740993"), &u64) && u64 == UINT64_C(9007199254740993));
    assert_true(json_get_u64(STR("18446744073709551614"), &u64) && u64 == UINT64_MAX - 1);
    assert_true(json_get_u64(STR("18446744073709551615"), &u64) && u64 == UINT64_MAX);
    assert_false(json_get_u64(STR("18446744073709551616"), &u64));
    assert_false(json_get_u64(STR("99999999999999999999999999"), &u64));
    assert_true(json_get_i32(STR("2147483647"), &i32) && i32 == INT32_MAX);
    assert_false(json_get_i32(STR("2147483648"), &i32));
    assert_true(json_get_i32(STR("-2147483648"), &i32) && i32 == INT32_MIN);
    assert_false(json_get_i32(STR("-2147483649"), &i32));
    assert_true(json_get_i64(STR("9223372036854775807"), &i64) && i64 == INT64_MAX);
    assert_false(json_get_i64(STR("9223372036854775808"), &i64));
    assert_true(json_get_i64(STR("-9223372036854775808"), &i64) && i64 == INT64_MIN);
    assert_false(json_get_i64(STR("-9223372036854775809"), &i64));
    assert_true(json_get_i64(STR("-1"), &i64) && i64 == -1);

    static const char *const others[] = {"1.0",  "1e2", "0.5", "1E0", "\"1\"", "null",
                                         "true", "[1]", "{}",  "",    "-"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct str span = str_from_cstr(others[i]);
        assert_false(json_get_u32(span, &u32));
        assert_false(json_get_u64(span, &u64));
        assert_false(json_get_i32(span, &i32));
        assert_false(json_get_i64(span, &i64));
    }
    assert_false(json_get_u32(STR("-1"), &u32));
    assert_false(json_get_u64(STR("-1"), &u64));
    assert_false(json_get_u64(STR("-0"), &u64));
}

static void booleans_are_true_or_false_and_nothing_else(void **state)
{
    (void)state;
    bool value = false;
    assert_true(json_get_bool(STR("true"), &value) && value);
    assert_true(json_get_bool(STR("false"), &value) && !value);
    assert_false(json_get_bool(STR("1"), &value));
    assert_false(json_get_bool(STR("\"true\""), &value));
    assert_false(json_get_bool(STR("null"), &value));
    assert_false(json_get_bool((struct str){0}, &value));
}

static void a_payload_keeps_every_byte_but_line_breaks_J13(void **state)
{
    (void)state;
    static const char *const kept[] = {
        "{\"a\":1e2}",
        "{\"a\":0.1000}",
        "{\"a\":12345678901234567890}",
        "{\"a\":1E400}",
        "{\"a\":-0}",
        "{\"a\":\"\\u00e9\\/\"}",
        "\"x\\u0000y\"",
        "{\"b\":1,\"a\":2,\"b\":3}",
        "{ \"a\"\t: [ 1 , 2 ] }",
        "\"\\ud800\"",
        "\"\\n\\r\"",
        "null",
    };
    struct buf buf = {0};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        buf_reset(&buf);
        buf_append_lit(&buf, "\n");
        json_append_compact_newlines(&buf, str_from_cstr(kept[i]));
        assert_true(str_is(str_skip(buf_str(&buf), 1), kept[i]));
    }
    buf_reset(&buf);
    json_append_compact_newlines(&buf, STR("{\r\n  \"a\\n\":\n1\r}"));
    assert_true(str_is(buf_str(&buf), "{    \"a\\n\": 1 }"));
    buf_reset(&buf);
    json_append_compact_newlines(&buf, (struct str){0});
    assert_int_equal(buf.len, 0);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_valid_text_is_accepted),
        cmocka_unit_test(every_invalid_text_is_refused_J01),
        cmocka_unit_test(a_valid_object_cut_anywhere_is_refused),
        cmocka_unit_test(every_byte_is_judged_at_every_place_of_a_word),
        cmocka_unit_test(nesting_is_bounded_J02),
        cmocka_unit_test(a_hundred_thousand_members_are_read_once_J02),
        cmocka_unit_test(an_object_gives_the_spans_that_were_asked_for),
        cmocka_unit_test(an_empty_object_has_no_members),
        cmocka_unit_test(an_object_reader_refuses_everything_else_J01),
        cmocka_unit_test(a_member_that_is_there_twice_is_refused_J03),
        cmocka_unit_test(names_are_compared_as_text),
        cmocka_unit_test(a_run_of_texts_is_taken_one_by_one),
        cmocka_unit_test(an_array_is_walked_to_its_end),
        cmocka_unit_test(an_object_is_walked_to_its_end),
        cmocka_unit_test(iterators_stay_inside_what_is_no_json),
        cmocka_unit_test(a_kind_is_told_by_the_first_byte),
        cmocka_unit_test(a_string_is_borrowed_unless_it_has_escapes),
        cmocka_unit_test(lone_surrogates_and_nul_make_no_name_J04),
        cmocka_unit_test(only_a_string_is_a_string),
        cmocka_unit_test(integers_are_bounded_by_their_type_J01),
        cmocka_unit_test(booleans_are_true_or_false_and_nothing_else),
        cmocka_unit_test(a_payload_keeps_every_byte_but_line_breaks_J13),
    };
    return cmocka_run_group_tests_name("json_span", tests, NULL, NULL);
}
