#include "server/survey.h"

#include "channels/base/clock.h"
#include "channels/base/hash.h"
#include "server/gather.h"
#include "server/pick.h"
#include "server/users.h"
#include "server/version.h"
#include "server/worker.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- channels: pure ---- */

struct row {
    size_t name_offset, name_len;
    uint32_t client_count;
};

bool survey_list_add(struct survey_list *list, struct str pattern, struct str name, uint32_t client_count)
{
    if (pattern.len > 0 && !str_glob(pattern, name)) {
        return true;
    }
    if (list->count == SURVEY_CHANNELS_MAX) {
        list->is_cut = true;
        return false;
    }
    const struct row row = {
        .name_offset = list->names.len, .name_len = name.len, .client_count = client_count};
    buf_append(&list->rows, &row, sizeof row);
    buf_append_str(&list->names, name);
    list->count++;
    return !list->rows.failed && !list->names.failed;
}

void survey_list_release(struct survey_list *list)
{
    buf_release(&list->names);
    buf_release(&list->rows);
}

static int compare_names(const void *left, const void *right)
{
    const struct str a = ((const struct survey_channel *)left)->name;
    const struct str b = ((const struct survey_channel *)right)->name;
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.at, b.at, shorter);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static void copy_rows(struct survey_channel *out, const struct survey_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct row row;
        memcpy(&row, list->rows.at + i * sizeof row, sizeof row);
        out[i].name = str_make(list->names.at + row.name_offset, row.name_len);
        out[i].client_count = row.client_count;
    }
}

enum status survey_merge(struct survey_list *const *lists, size_t list_count, struct survey_channels *out)
{
    size_t total = 0;
    bool is_cut = false;
    for (size_t i = 0; i < list_count; i++) {
        if (lists[i] == NULL) {
            continue;
        }
        if (lists[i]->rows.failed || lists[i]->names.failed) {
            return STATUS_NO_MEMORY;
        }
        total += lists[i]->count;
        is_cut = is_cut || lists[i]->is_cut;
    }
    struct survey_channel *channels = calloc(total + 1, sizeof *channels);
    if (channels == NULL) {
        return STATUS_NO_MEMORY;
    }
    size_t copied = 0;
    for (size_t i = 0; i < list_count; i++) {
        if (lists[i] != NULL) {
            copy_rows(channels + copied, lists[i]);
            copied += lists[i]->count;
        }
    }
    qsort(channels, total, sizeof *channels, compare_names);
    out->channels = channels;
    out->count = total < SURVEY_CHANNELS_MAX ? total : SURVEY_CHANNELS_MAX;
    out->is_cut = is_cut || total > SURVEY_CHANNELS_MAX;
    return STATUS_OK;
}

/* ---- channels: asking ---- */

struct channels_question {
    struct survey_query query;
    void (*done)(void *context, enum status status, const struct survey_channels *channels);
    void *context;
};

struct channels_walk {
    const struct survey_query *query;
    struct survey_list *list;
    struct pick pick; /* with a limit; of struct survey_channel, whose names are the hub's */
};

static bool visit_channel(void *context, struct str channel, uint32_t subscriptions)
{
    struct channels_walk *walk = context;
    return survey_list_add(walk->list, walk->query->pattern, channel, subscriptions);
}

static bool pick_channel(void *context, struct str channel, uint32_t subscriptions)
{
    struct channels_walk *walk = context;
    const struct survey_query *query = walk->query;
    const struct survey_channel row = {.name = channel, .client_count = subscriptions};
    const struct survey_channel after = {.name = query->after};
    if (compare_names(&row, &after) > 0 && (query->pattern.len == 0 || str_glob(query->pattern, channel))) {
        pick_offer(&walk->pick, &row);
    }
    return true;
}

/* The first of a page, and one more, which says that the page is not the last. */
static void visit_page(struct hub *hub, struct channels_walk *walk)
{
    if (!pick_init(&walk->pick, sizeof(struct survey_channel), walk->query->limit + 1, compare_names)) {
        walk->list->rows.failed = true;
        return;
    }
    hub_each_home_channel(hub, pick_channel, walk);
    pick_sort(&walk->pick);
    for (size_t i = 0; i < walk->pick.count; i++) {
        const struct survey_channel *channel = pick_at(&walk->pick, i);
        (void)survey_list_add(walk->list, STR(""), channel->name,
                              channel->client_count); /* fails in the list */
    }
    pick_release(&walk->pick);
}

static void visit_channels(struct worker *there, const void *question, void *answer)
{
    const struct channels_question *asked = question;
    struct channels_walk walk = {.list = answer, .query = &asked->query};
    if (asked->query.limit > 0) {
        visit_page(there->hub, &walk);
    } else {
        hub_each_home_channel(there->hub, visit_channel, &walk);
    }
}

static void on_channels(struct gather *gather, void *context)
{
    struct channels_question *question = context;
    struct survey_list *lists[LIMIT_WORKERS];
    struct survey_channels channels = {0};
    unsigned count = gather_count(gather);
    for (unsigned i = 0; i < count; i++) {
        lists[i] = gather_answer(gather, i);
    }
    enum status status =
        gather_missing_count(gather) > 0 ? STATUS_BUSY : survey_merge(lists, count, &channels);
    size_t limit = question->query.limit;
    if (limit > 0 && channels.count > limit) {
        channels.count = limit;
        channels.is_cut = true;
    }
    question->done(question->context, status, status == STATUS_OK ? &channels : NULL);
    free(channels.channels);
    for (unsigned i = 0; i < count; i++) {
        if (lists[i] != NULL) {
            survey_list_release(lists[i]);
        }
    }
    free(question);
}

void survey_channels(struct worker *worker, const struct survey_query *query,
                     void (*done)(void *context, enum status status, const struct survey_channels *channels),
                     void *context)
{
    struct channels_question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        done(context, STATUS_NO_MEMORY, NULL);
        return;
    }
    *question = (struct channels_question){.query = *query, .done = done, .context = context};
    const struct gather_options options = {
        .visit = visit_channels,
        .done = on_channels,
        .question = question,
        .context = question,
        .answer_bytes = sizeof(struct survey_list),
    };
    if (!gather_start(worker, &options)) {
        free(question);
        done(context, STATUS_NO_MEMORY, NULL);
    }
}

/* ---- the node ---- */

struct info_question {
    struct worker *worker;
    void (*done)(void *context, enum status status, const struct survey_info *info);
    void *context;
};

struct info_answer {
    uint64_t client_count, subscription_count, channel_count;
    struct buf users; /* uint64_t each */
};

static void visit_user(void *context, struct str name)
{
    struct info_answer *answer = context;
    uint64_t hash = hash_str(name);
    buf_append(&answer->users, &hash, sizeof hash);
}

static void visit_info(struct worker *there, const void *question, void *answer)
{
    (void)question;
    struct info_answer *info = answer;
    info->client_count = there->metrics.clients;
    info->subscription_count = hub_counters(there->hub)->subscription_count;
    info->channel_count = hub_home_channel_count(there->hub);
    users_each(there->users, visit_user, info);
}

static int compare_hashes(const void *left, const void *right)
{
    uint64_t a, b;
    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return (a > b) - (a < b);
}

static uint64_t count_different(struct buf *hashes)
{
    uint64_t count = 0;
    size_t total = hashes->len / sizeof(uint64_t);
    if (total > 0) {
        qsort(hashes->at, total, sizeof(uint64_t), compare_hashes);
    }
    for (size_t i = 0; i < total; i++) {
        const char *at = hashes->at + i * sizeof(uint64_t);
        count += i == 0 || memcmp(at, at - sizeof(uint64_t), sizeof(uint64_t)) != 0 ? 1 : 0;
    }
    return count;
}

/* Each worker remembers when it last looked, so that nothing is shared between threads. */
static double cpu_percent(const struct metrics_process *process, uint64_t started_ms)
{
    enum { WINDOW_MS_MIN = 500 }; /* asked twice in a row: the same answer */
    static _Thread_local uint64_t last_ms;
    static _Thread_local double last_cpu_s, last_percent;
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t since_ms = last_ms != 0 ? last_ms : started_ms;
    if (now_ms - since_ms >= WINDOW_MS_MIN) {
        last_percent = (process->cpu_s - last_cpu_s) * 100000. / (double)(now_ms - since_ms);
        last_cpu_s = process->cpu_s;
        last_ms = now_ms;
    }
    return last_percent;
}

static void read_process(struct survey_info *info, const struct server *server)
{
    struct metrics_process process = {0};
    metrics_read_process(&process);
    info->uptime_s = (clock_monotonic_ms() - server->started_monotonic_ms) / 1000;
    info->cpu_percent = cpu_percent(&process, server->started_monotonic_ms);
    info->resident_bytes = process.resident_bytes;
}

void survey_info_print(struct buf *out, const struct server *server, const struct survey_info *info)
{
    buf_append_lit(out, "{\"uid\":");
    buf_append_json_string(out, str_from_cstr(server->node_id));
    buf_append_lit(out, ",\"name\":");
    buf_append_json_string(out, str_from_cstr(server->node_name));
    buf_append_lit(out, ",\"version\":");
    buf_append_json_string(out, STR(STARLING_VERSION));
    buf_printf(out, ",\"num_clients\":%" PRIu64 ",\"num_users\":%" PRIu64 ",\"num_subs\":%" PRIu64,
               info->client_count, info->user_count, info->subscription_count);
    buf_printf(out, ",\"num_channels\":%" PRIu64 ",\"uptime\":%" PRIu64, info->channel_count, info->uptime_s);
    buf_printf(out, ",\"process\":{\"cpu\":%.1f,\"rss\":%" PRIu64 "}}", info->cpu_percent,
               info->resident_bytes);
}

static void on_info(struct gather *gather, void *context)
{
    struct info_question *question = context;
    struct survey_info info = {0};
    struct buf users = {0};
    for (unsigned i = 0; i < gather_count(gather); i++) {
        struct info_answer *answer = gather_answer(gather, i);
        if (answer == NULL) {
            continue;
        }
        info.client_count += answer->client_count;
        info.subscription_count += answer->subscription_count;
        info.channel_count += answer->channel_count;
        buf_append_str(&users, buf_str(&answer->users));
        users.failed = users.failed || answer->users.failed;
        buf_release(&answer->users);
    }
    info.user_count = count_different(&users);
    read_process(&info, question->worker->server);
    enum status status = gather_missing_count(gather) > 0 ? STATUS_BUSY
                         : users.failed                   ? STATUS_NO_MEMORY
                                                          : STATUS_OK;
    question->done(question->context, status, status == STATUS_OK ? &info : NULL);
    buf_release(&users);
    free(question);
}

void survey_info(struct worker *worker,
                 void (*done)(void *context, enum status status, const struct survey_info *info),
                 void *context)
{
    struct info_question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        done(context, STATUS_NO_MEMORY, NULL);
        return;
    }
    *question = (struct info_question){.worker = worker, .done = done, .context = context};
    const struct gather_options options = {
        .visit = visit_info,
        .done = on_info,
        .question = question,
        .context = question,
        .answer_bytes = sizeof(struct info_answer),
    };
    if (!gather_start(worker, &options)) {
        free(question);
        done(context, STATUS_NO_MEMORY, NULL);
    }
}
