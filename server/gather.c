#include "server/gather.h"

#include "channels/base/must.h"
#include "server/worker.h"

#include <stddef.h>
#include <stdlib.h>

struct part {
    struct mail mail;
    struct gather *gather;
    unsigned index;
    bool was_reached;
};

struct gather {
    struct gather_options options;
    struct worker *asker;
    unsigned count;
    unsigned left; /* parts that are not back yet */
    unsigned answered_count;
    size_t answer_step; /* bytes from one answer to the next */
    struct part parts[];
};

/* The answers lie behind the parts. */
static void *answer_of(struct gather *gather, unsigned index)
{
    size_t parts_bytes = gather->count * sizeof gather->parts[0];
    size_t align = _Alignof(max_align_t);
    size_t first = (offsetof(struct gather, parts) + parts_bytes + align - 1) / align * align;
    return (char *)gather + first + index * gather->answer_step;
}

static struct gather *gather_new(struct worker *worker, const struct gather_options *options)
{
    unsigned count = worker->server->worker_count;
    size_t align = _Alignof(max_align_t);
    size_t step = (options->answer_bytes + align - 1) / align * align;
    struct gather *gather = calloc(1, sizeof *gather + count * sizeof(struct part) + align + count * step);
    if (gather != NULL) {
        gather->options = *options;
        gather->asker = worker;
        gather->count = gather->left = count;
        gather->answer_step = step;
    }
    return gather;
}

/* Mail at the asker. Without a receiver its worker has ended, and nobody waits any more. */
static void on_back(void *receiver, struct mail *mail)
{
    const struct part *part = container_of(mail, struct part, mail);
    struct gather *gather = part->gather;
    must(gather->left > 0);
    gather->left--;
    gather->answered_count += part->was_reached ? 1 : 0;
    if (gather->left > 0) {
        return;
    }
    if (receiver != NULL) {
        gather->options.done(gather, gather->options.context);
    }
    free(gather);
}

/* Mail at each worker. */
static void on_visit(void *receiver, struct mail *mail)
{
    if (receiver == NULL) {
        on_back(NULL, mail);
        return;
    }
    struct part *part = container_of(mail, struct part, mail);
    struct gather *gather = part->gather;
    gather->options.visit(worker_of(receiver), gather->options.question, answer_of(gather, part->index));
    part->was_reached = true;
    mail->run = on_back;
    hub_post_answer(receiver, gather->asker->index, mail);
}

static void send_part(struct gather *gather, struct part *part)
{
    struct hub *hub = gather->asker->hub;
    part->mail.run = on_visit;
    if (gather->options.is_urgent) {
        hub_post_answer(hub, part->index, &part->mail);
    } else if (!hub_post(hub, part->index, &part->mail)) {
        part->mail.run = on_back;
        hub_post_answer(hub, gather->asker->index, &part->mail);
    }
}

struct gather *gather_start(struct worker *worker, const struct gather_options *options)
{
    struct gather *gather = gather_new(worker, options);
    if (gather == NULL) {
        return NULL;
    }
    unsigned count = gather->count;
    for (unsigned i = 0; i < count; i++) {
        struct part *part = &gather->parts[i];
        part->gather = gather;
        part->index = i;
        send_part(gather,
                  part); /* the last part that comes back frees everything, but only in a later step */
    }
    return gather;
}

unsigned gather_count(const struct gather *gather)
{
    return gather->count;
}

unsigned gather_answered_count(const struct gather *gather)
{
    return gather->answered_count;
}

unsigned gather_missing_count(const struct gather *gather)
{
    must(gather->left == 0);
    return gather->count - gather->answered_count;
}

void *gather_answer(struct gather *gather, unsigned index)
{
    must(index < gather->count);
    return gather->parts[index].was_reached ? answer_of(gather, index) : NULL;
}
