#include "channels/message.h"

#include "channels/base/must.h"
#include "channels/base/random.h"

#include <stdlib.h>

/* Copies `s` to *at and moves *at behind it. */
static struct str copy_text(char **at, struct str s)
{
    struct str copy = {.at = *at, .len = s.len};
    if (s.len > 0) {
        memcpy(*at, s.at, s.len);
        *at += s.len;
    }
    return copy;
}

struct message *message_new(const struct message_parts *parts)
{
    size_t epoch_room = parts->epoch.len > EPOCH_TEXT_LEN ? parts->epoch.len : EPOCH_TEXT_LEN;
    must(epoch_room <= UINT32_MAX);
    size_t bytes = epoch_room + parts->channel.len + parts->data.len + parts->info.len + parts->tags.len +
                   parts->exclude.len;
    struct message *message = malloc(sizeof *message + bytes);
    if (message == NULL) {
        return NULL;
    }
    *message = (struct message){
        .magic = MESSAGE_MAGIC,
        .kind = parts->kind,
        .wants_delta = parts->wants_delta,
        .is_position = parts->is_position,
        .epoch_room = (uint32_t)epoch_room,
    };
    atomic_init(&message->refs, 1);
    char *at = message->bytes + epoch_room;
    message->channel = copy_text(&at, parts->channel);
    message->data = copy_text(&at, parts->data);
    message->info = copy_text(&at, parts->info);
    message->tags = copy_text(&at, parts->tags);
    message->exclude = copy_text(&at, parts->exclude);
    must(at == message->bytes + bytes);
    message_set_position(message, parts->offset, parts->epoch);
    return message;
}

void message_set_position(struct message *message, uint64_t offset, struct str epoch)
{
    must(message->magic == MESSAGE_MAGIC);
    must(epoch.len <= message->epoch_room);
    must(atomic_load_explicit(&message->refs, memory_order_relaxed) == 1);
    char *at = message->bytes;
    message->epoch = copy_text(&at, epoch);
    message->offset = offset;
}

struct message *message_ref(struct message *message)
{
    must(message->magic == MESSAGE_MAGIC);
    /* Relaxed: who takes a reference has one already, so nothing has to be ordered. */
    unsigned before = atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    must(before > 0);
    return message;
}

void message_unref(struct message *message)
{
    if (message == NULL) {
        return;
    }
    must(message->magic == MESSAGE_MAGIC);
    /* Release: our reads end before the free. Acquire: the freeing thread sees those of all the others. */
    unsigned before = atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel);
    must(before > 0);
    if (before == 1) {
        message->magic = 0;
        free(message);
    }
}

size_t message_bytes(const struct message *message)
{
    return sizeof *message + message->channel.len + message->data.len + message->info.len +
           message->tags.len + message->exclude.len;
}
