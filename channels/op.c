#include "channels/op.h"

#include "channels/base/must.h"

#include <stdlib.h>

struct op *op_new(enum op_kind kind, size_t text_bytes)
{
    struct op *op = calloc(1, sizeof *op + text_bytes);
    if (op == NULL) {
        return NULL;
    }
    op->kind = kind;
    op->text_at = op->text;
    op->text_left = text_bytes;
    return op;
}

struct str op_text(struct op *op, struct str s)
{
    must(s.len <= op->text_left);
    struct str copy = {.at = op->text_at, .len = s.len};
    if (s.len > 0) {
        memcpy(op->text_at, s.at, s.len);
        op->text_at += s.len;
        op->text_left -= s.len;
    }
    return copy;
}

void op_free(struct op *op)
{
    if (op == NULL) {
        return;
    }
    if (op->kind == OP_PUBLISH) {
        message_unref(op->publish.message);
    }
    if (op->kind == OP_PRESENCE) {
        free(op->presence.entries);
    }
    for (size_t i = 0; i < op->message_count; i++) {
        message_unref(op->messages[i]);
    }
    free(op->messages);
    free(op);
}

void op_set_top(struct op *op, uint64_t offset, struct str epoch)
{
    must(epoch.len <= sizeof op->top_epoch);
    if (epoch.len > 0) {
        memcpy(op->top_epoch, epoch.at, epoch.len);
    }
    op->top = (struct position){.offset = offset, .epoch = {.at = op->top_epoch, .len = epoch.len}};
}
