/* fuzz_websocket.c - frames of strangers. The last four bytes of an input choose how the rest is cut and
 * which reader gets it; whole and cut, the events must be the same. */
#include "channels/base/must.h"
#include "server/websocket.h"
#include "tests/support/transcript.h"

enum { CHOICE_BYTES = 4, CHOOSE_RSV1 = 1, CHOOSE_CLIENT = 2, CHOOSE_SMALL = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct websocket_limits ordinary = {
    .message_bytes_max = 65536, .fragments_max = 1024, .empty_fragments_max = 64};
static const struct websocket_limits small = {
    .message_bytes_max = 16, .fragments_max = 4, .empty_fragments_max = 2};

static struct websocket_reader chosen_reader(unsigned choice)
{
    struct websocket_reader reader;
    websocket_reader_init(&reader, (choice & CHOOSE_SMALL) != 0 ? &small : &ordinary);
    reader.allow_rsv1 = (choice & CHOOSE_RSV1) != 0;
    reader.is_client = (choice & CHOOSE_CLIENT) != 0;
    return reader;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < CHOICE_BYTES) {
        return 0;
    }
    struct str input = str_make((const char *)bytes, len - CHOICE_BYTES);
    struct str pattern = str_make(input.at + input.len, CHOICE_BYTES - 1);
    struct buf whole = {0}, cut = {0};
    struct websocket_reader reader = chosen_reader(bytes[len - 1]);
    transcript_of_websocket(&whole, &reader, input, (struct cut){.first = input.len});
    reader = chosen_reader(bytes[len - 1]);
    transcript_of_websocket(&cut, &reader, input, (struct cut){.pattern = pattern});
    must(str_equal(buf_str(&whole), buf_str(&cut)));
    buf_release(&whole);
    buf_release(&cut);
    return 0;
}
