#include "channels/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct str good[] = {
    {"", 0},
    {"plain ASCII that is longer than eight bytes", 43},
    {"\0", 1},                                /* U+0000 */
    {"\x7f", 1},                              /* the last of one byte */
    {"\xc2\x80 \xdf\xbf", 5},                 /* U+0080, U+07FF */
    {"\xe0\xa0\x80 \xef\xbf\xbf", 7},         /* U+0800, U+FFFF (a non-character) */
    {"\xed\x9f\xbf \xee\x80\x80", 7},         /* around the surrogates */
    {"\xef\xb7\x90\xf0\x9f\xbf\xbe", 7},      /* non-characters U+FDD0, U+1FFFE */
    {"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", 9}, /* U+10000, U+10FFFF */
    {"Gr\xc3\xbc\xc3\x9f"                     /* mixed, crossing the eight-byte steps */
     "e aus K\xc3\xb6ln \xf0\x9f\x98\x80 und abcdefgh",
     36},
};

/* The last byte is the first that decides, except where the text is only cut off. */
static const struct str bad[] = {
    {"\x80", 1},
    {"a\xbf", 2},
    {"\xc0", 1},
    {"\xc1", 1},
    {"\xe0\x80", 2},
    {"\xe0\x9f", 2},
    {"\xed\xa0", 2},
    {"\xed\xbf", 2},
    {"\xf0\x80", 2},
    {"\xf0\x8f", 2},
    {"\xf4\x90", 2},
    {"\xf5", 1},
    {"\xf8", 1},
    {"\xff", 1},
    {"\xfe", 1},
    {"\xc2\x20", 2},
    {"\xe1\x80\x20", 3},
    {"\xf1\x80\x80\xc0", 4},
    {"12345678\xc3\xc3", 10},
    {"\xc2\xc2", 2},
};

static const struct str cut[] = {
    {"\xc3", 1}, {"\xe2\x82", 2}, {"\xf0\x9f\x98", 3}, {"12345678\xf0", 9}, {"\xe2", 1},
};

#define each_of(array, i)                   \
    size_t i = 0;                           \
    i < sizeof(array) / sizeof((array)[0]); \
    i++

/* A copy with nothing behind it, so that the sanitizer sees a read past the end. */
static char *copy_of(struct str s)
{
    char *copy = malloc(s.len == 0 ? 1 : s.len);
    memcpy(copy, s.at, s.len);
    return copy;
}

static void valid_text_is_accepted_with_non_characters_and_nul_w13(void **state)
{
    (void)state;
    for (each_of(good, i)) {
        char *copy = copy_of(good[i]);
        assert_true(utf8_is_valid(str_make(copy, good[i].len)));
        free(copy);
    }
}

static void overlong_surrogates_and_too_high_are_refused_w12(void **state)
{
    (void)state;
    for (each_of(bad, i)) {
        char *copy = copy_of(bad[i]);
        assert_false(utf8_is_valid(str_make(copy, bad[i].len)));
        free(copy);
    }
}

static void a_bad_byte_is_known_as_soon_as_it_comes_w12(void **state)
{
    (void)state;
    for (each_of(bad, i)) {
        struct utf8 utf8 = {0};
        assert_true(utf8_feed(&utf8, bad[i].at, bad[i].len - 1));
        assert_false(utf8_feed(&utf8, bad[i].at + bad[i].len - 1, 1));
        assert_false(utf8_feed(&utf8, "a", 1));
        assert_false(utf8_is_complete(&utf8));
    }
}

static void a_cut_character_is_neither_wrong_nor_complete_w12(void **state)
{
    (void)state;
    for (each_of(cut, i)) {
        struct utf8 utf8 = {0};
        assert_true(utf8_feed(&utf8, cut[i].at, cut[i].len));
        assert_false(utf8_is_complete(&utf8));
        assert_true(utf8_feed(&utf8, "", 0));
        assert_false(utf8_is_complete(&utf8));
        assert_false(utf8_is_valid(cut[i]));
    }
}

static void any_split_gives_the_same_answer_w12(void **state)
{
    (void)state;
    for (each_of(good, i)) {
        for (size_t split = 0; split <= good[i].len; split++) {
            struct utf8 utf8 = {0};
            assert_true(utf8_feed(&utf8, good[i].at, split));
            assert_true(utf8_feed(&utf8, good[i].at + split, good[i].len - split));
            assert_true(utf8_is_complete(&utf8));
        }
    }
}

/* Decodes by the definition, without tables: what the validator is compared with. */
static bool is_valid_by_definition(const unsigned char *s, size_t len)
{
    static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        unsigned more = s[i] < 0x80             ? 0
                        : (s[i] & 0xE0) == 0xC0 ? 1
                        : (s[i] & 0xF0) == 0xE0 ? 2
                        : (s[i] & 0xF8) == 0xF0 ? 3
                                                : 9;
        if (more == 9 || i + more >= len) {
            return false;
        }
        uint32_t code = more == 0 ? s[i] : s[i] & (0x3Fu >> more);
        for (unsigned k = 1; k <= more; k++) {
            if ((s[i + k] & 0xC0) != 0x80) {
                return false;
            }
            code = code << 6 | (s[i + k] & 0x3F);
        }
        if (code < lowest[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
            return false;
        }
        i += more + 1;
    }
    return true;
}

static void all_texts_of_two_bytes_and_the_bounds_of_four_agree_with_the_definition(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 0x10000; value++) {
        unsigned char s[2] = {(unsigned char)(value >> 8), (unsigned char)value};
        assert_int_equal(utf8_is_valid(str_make((char *)s, 2)), is_valid_by_definition(s, 2));
    }
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                          0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                          0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    enum { N = sizeof edges };
    for (size_t n = 0; n < (size_t)N * N * N * N; n++) {
        unsigned char s[4] = {edges[n / (N * N * N)], edges[n / (N * N) % N], edges[n / N % N], edges[n % N]};
        assert_int_equal(utf8_is_valid(str_make((char *)s, 4)), is_valid_by_definition(s, 4));
    }
}

static void the_longest_valid_beginning_ends_on_a_character(void **state)
{
    (void)state;
    struct str euro = STR("a\xe2\x82\xac");
    assert_int_equal(utf8_first(euro, 9).len, 4);
    assert_int_equal(utf8_first(euro, 4).len, 4);
    assert_int_equal(utf8_first(euro, 3).len, 1);
    assert_int_equal(utf8_first(euro, 2).len, 1);
    assert_int_equal(utf8_first(euro, 0).len, 0);
    assert_int_equal(utf8_first(STR("\xf0\x9f\x98\x80"), 3).len, 0);
    assert_int_equal(utf8_first(STR("ab\xff"
                                    "cd"),
                                9)
                         .len,
                     2);
    assert_int_equal(utf8_first(STR("ab\xe2\x82"
                                    "cd"),
                                9)
                         .len,
                     2);
    assert_int_equal(utf8_first((struct str){0}, 9).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text_is_accepted_with_non_characters_and_nul_w13),
        cmocka_unit_test(overlong_surrogates_and_too_high_are_refused_w12),
        cmocka_unit_test(a_bad_byte_is_known_as_soon_as_it_comes_w12),
        cmocka_unit_test(a_cut_character_is_neither_wrong_nor_complete_w12),
        cmocka_unit_test(any_split_gives_the_same_answer_w12),
        cmocka_unit_test(all_texts_of_two_bytes_and_the_bounds_of_four_agree_with_the_definition),
        cmocka_unit_test(the_longest_valid_beginning_ends_on_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
