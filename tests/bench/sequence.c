#include "tests/bench/sequence.h"

bool sequence_take(struct sequence *sequence, struct tally *tally, uint32_t number)
{
    if (number >= sequence->next) {
        uint32_t skipped = number - sequence->next;
        sequence->seen = skipped < 63 ? sequence->seen << (skipped + 1) | 1 : 1;
        sequence->next = number + 1;
        tally->lost += skipped;
        tally->delivered++;
        return true;
    }
    uint32_t back = sequence->next - 1 - number;
    if (back < 64 && (sequence->seen >> back & 1) == 0) {
        sequence->seen |= (uint64_t)1 << back;
        tally->lost--;
        tally->out_of_order++;
        tally->delivered++;
        return true;
    }
    tally->extra++;
    return false;
}

void sequence_end(const struct sequence *sequence, struct tally *tally, uint32_t published)
{
    if (published > sequence->next) {
        tally->lost += published - sequence->next;
    }
}
