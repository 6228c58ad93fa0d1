#include "tests/bench/payload.h"

#include "channels/base/must.h"

enum {
    NUMBERS_AT = 6, /* behind {"q":" */
    NUMBERS_BYTES = 32,
    PADDING_AT = NUMBERS_AT + NUMBERS_BYTES,
};

struct buf payload_template(size_t bytes)
{
    must(bytes >= PAYLOAD_BYTES_MIN);
    struct buf out = {0};
    buf_append_lit(&out, "{\"q\":\"00000000000000000000000000000000\",\"x\":\"");
    while (out.len < bytes - 2 && !out.failed) {
        buf_append_char(&out, (char)('a' + out.len % 26));
    }
    buf_append_lit(&out, "\"}");
    must(!out.failed);
    return out;
}

static void put_hex(char *at, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

static bool get_hex(const char *at, int digits, uint64_t *out)
{
    uint64_t value = 0;
    for (int i = 0; i < digits; i++) {
        bool is_digit = at[i] >= '0' && at[i] <= '9';
        if (!is_digit && (at[i] < 'a' || at[i] > 'f')) {
            return false;
        }
        value = value << 4 | (uint64_t)(is_digit ? at[i] - '0' : at[i] - 'a' + 10);
    }
    *out = value;
    return true;
}

void payload_write(struct buf *payload_bytes, const struct payload *values)
{
    char *numbers = payload_bytes->at + NUMBERS_AT;
    put_hex(numbers, values->publisher, 8);
    put_hex(numbers + 8, values->number, 8);
    put_hex(numbers + 16, values->sent_ns, 16);
}

bool payload_read(struct str text, const struct buf *expected, struct payload *out)
{
    uint64_t publisher, number, sent_ns;
    if (text.len < expected->len || memcmp(text.at, expected->at, NUMBERS_AT) != 0 ||
        memcmp(text.at + PADDING_AT, expected->at + PADDING_AT, expected->len - PADDING_AT) != 0 ||
        !get_hex(text.at + NUMBERS_AT, 8, &publisher) || !get_hex(text.at + NUMBERS_AT + 8, 8, &number) ||
        !get_hex(text.at + NUMBERS_AT + 16, 16, &sent_ns)) {
        return false;
    }
    *out = (struct payload){(uint32_t)publisher, (uint32_t)number, sent_ns};
    return true;
}
