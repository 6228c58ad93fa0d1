#include "server/cli.h"

#include "channels/base/buf.h"
#include "channels/base/utf8.h"
#include "server/json_span.h"
#include "server/ws_client.h"

#include <stdlib.h>

static const char default_url[] = "ws://127.0.0.1:8000/connection/websocket";

/* Depth of what a server sends: its own limit may be set higher than the default. */
enum { DEPTH_MAX = JSON_DEPTH_LIMIT, CHANNELS_MAX = 128, TOKEN_BYTES_MAX = 64 * 1024 };

struct arguments {
    const char *command;
    const char *url;
    const char *token;
    uint64_t count; /* publications to wait for; 0 = no end */
    const char *words[CHANNELS_MAX];
    size_t word_count;
};

/* One conversation with a server (PROTOCOL sections 2 to 5). */
struct talk {
    struct ws_client *client;
    struct buf why;      /* what ended it, or what the server refused */
    struct buf outgoing; /* the command being written */
    uint32_t last_id;
    bool wants_pong;
    int timeout_ms;
    uint64_t publication_count;
    uint64_t publications_max; /* more are not printed; 0 = no end */
};

/* -- arguments ------------------------------------------------------------------------------------------- */

static const char *value_of(int argc, char **argv, int *i, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(argv[*i], name, len) == 0 && argv[*i][len] == '=') {
        return argv[*i] + len + 1;
    }
    if (strcmp(argv[*i], name) == 0 && *i + 1 < argc) {
        (*i)++;
        return argv[*i];
    }
    return NULL;
}

static bool parse(struct arguments *out, int argc, char **argv)
{
    bool takes_flags = true;
    *out = (struct arguments){.command = argv[0], .url = default_url, .token = ""};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        const char *value;
        bool is_flag = takes_flags && argument[0] == '-' && argument[1] == '-';
        if (is_flag && argument[2] == '\0') {
            takes_flags = false;
        } else if (is_flag && (value = value_of(argc, argv, &i, "--url")) != NULL) {
            out->url = value;
        } else if (is_flag && (value = value_of(argc, argv, &i, "--token")) != NULL) {
            out->token = value;
        } else if (is_flag && strcmp(out->command, "sub") == 0 &&
                   (value = value_of(argc, argv, &i, "--count")) != NULL) {
            if (!str_to_u64(str_from_cstr(value), UINT64_MAX, &out->count) || out->count == 0) {
                (void)cli_refuse(out->command, value, "must be a number from 1");
                return false;
            }
        } else if (is_flag || out->word_count == CHANNELS_MAX) {
            (void)cli_refuse(out->command, argument,
                             is_flag ? "is not understood" : "is one channel too many");
            return false;
        } else if (!utf8_is_valid(str_from_cstr(argument))) {
            (void)cli_refuse(out->command, "an argument", "is not UTF-8");
            return false;
        } else {
            out->words[out->word_count++] = argument;
        }
    }
    return true;
}

/* --token - keeps the token out of the shell's history and the process list. false: nothing could be read. */
static bool read_token(struct arguments *arguments, char *out, size_t size)
{
    if (strcmp(arguments->token, "-") != 0) {
        return true;
    }
    if (fgets(out, (int)size, stdin) == NULL) {
        (void)cli_refuse(arguments->command, "--token -", "found nothing on standard input");
        return false;
    }
    out[strcspn(out, "\r\n")] = '\0';
    arguments->token = out;
    return true;
}

/* -- talking --------------------------------------------------------------------------------------------- */

/* Starts {"id":N,"METHOD":{ ; the caller appends members and calls command_send(). */
static void command_begin(struct talk *talk, const char *method)
{
    buf_reset(&talk->outgoing);
    buf_printf(&talk->outgoing, "{\"id\":%u,\"%s\":{", ++talk->last_id, method);
}

static bool command_send(struct talk *talk)
{
    buf_append_lit(&talk->outgoing, "}}");
    if (talk->outgoing.failed) {
        buf_append_lit(&talk->why, "no memory");
        return false;
    }
    return ws_client_send(talk->client, buf_str(&talk->outgoing), &talk->why);
}

/* A terminal obeys DEL and the C1 controls, which JSON lets stand raw in strings; escaped they mean the same.
 */
static void print_json(struct str json, FILE *out)
{
    for (size_t i = 0; i < json.len; i++) {
        unsigned char c = (unsigned char)json.at[i];
        unsigned char next = i + 1 < json.len ? (unsigned char)json.at[i + 1] : 0;
        if (c == 0x7F) {
            (void)fputs("\\u007f", out);
        } else if (c == 0xC2 && next >= 0x80 && next <= 0x9F) {
            (void)fprintf(out, "\\u%04x", next);
            i++;
        } else {
            (void)fputc(c == '\n' || c == '\r' ? ' ' : c, out);
        }
    }
}

/* {"code":103,"message":"permission denied"}, or a push with a reason, as what went wrong. */
static void note_error(struct talk *talk, struct str error)
{
    struct json_member members[] = {{.name = "code"}, {.name = "message"}, {.name = "reason"}};
    struct buf scratch = {0};
    struct str message = {0};
    uint32_t code = 0;
    if (json_object_members(error, members, 3) == JSON_READ_OK) {
        (void)json_get_u32(members[0].value, &code); /* 0 says that it had none */
        struct str text = members[1].value.len > 0 ? members[1].value : members[2].value;
        (void)json_get_string(text, &scratch, &message); /* as does an empty text */
    }
    buf_printf(&talk->why, "the server said: %u ", code);
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.at[i];
        buf_append_char(&talk->why, c < 0x20 || c >= 0x7F ? '?' : (char)c);
    }
    buf_release(&scratch);
}

static bool has_all_publications(const struct talk *talk)
{
    return talk->publications_max > 0 && talk->publication_count >= talk->publications_max;
}

/* One line of JSON for each publication: {"channel":…,"data":…}. false: a push that ends the talk. */
static bool take_push(struct talk *talk, struct str push)
{
    struct json_member members[] = {
        {.name = "channel"}, {.name = "pub"}, {.name = "unsubscribe"}, {.name = "disconnect"}};
    struct json_member data = {.name = "data"};
    if (json_object_members(push, members, 4) != JSON_READ_OK) {
        return true; /* not one of ours */
    }
    struct str ending = members[2].value.len > 0 ? members[2].value : members[3].value;
    if (ending.len > 0) {
        note_error(talk, ending);
        return false;
    }
    if (members[1].value.len > 0 && !has_all_publications(talk) &&
        json_object_members(members[1].value, &data, 1) == JSON_READ_OK) {
        (void)fputs("{\"channel\":", stdout);
        print_json(members[0].value, stdout);
        (void)fputs(",\"data\":", stdout);
        print_json(data.value.len == 0 ? STR("null") : data.value, stdout);
        (void)fputs("}\n", stdout);
        (void)fflush(stdout); /* a reader behind a pipe waits for it */
        talk->publication_count++;
    }
    return true;
}

/* The connect reply says whether and how often the server pings. */
static void take_connected(struct talk *talk, struct str result)
{
    struct json_member members[] = {{.name = "ping"}, {.name = "pong"}};
    uint32_t ping_s = 0;
    if (json_object_members(result, members, 2) == JSON_READ_OK) {
        (void)json_get_u32(members[0].value, &ping_s);            /* absent: the server does not ping */
        (void)json_get_bool(members[1].value, &talk->wants_pong); /* absent: nor does it want pongs */
    }
    talk->timeout_ms = ping_s == 0 || ping_s > 86400 ? -1 : (int)(ping_s + 10) * 1000;
}

enum taken { TAKEN, TAKEN_REPLY, TAKEN_END };

/* One reply or push of a message. `awaited` is the id of the command whose reply is waited for, or 0. */
static enum taken take_object(struct talk *talk, struct json_member *members, uint32_t awaited)
{
    struct str id = members[0].value;
    struct str error = members[1].value;
    struct str push = members[2].value;
    struct str connected = members[3].value;
    uint32_t number = 0;
    if (push.len > 0) {
        return take_push(talk, push) ? TAKEN : TAKEN_END;
    }
    if (id.len == 0 && error.len == 0) {
        bool is_answered = !talk->wants_pong || ws_client_send(talk->client, STR("{}"), &talk->why);
        return is_answered ? TAKEN : TAKEN_END;
    }
    if (error.len > 0) {
        note_error(talk, error);
        return TAKEN_END;
    }
    if (connected.len > 0) {
        take_connected(talk, connected);
    }
    return json_get_u32(id, &number) && number == awaited ? TAKEN_REPLY : TAKEN;
}

/* Reads whole messages until the reply to `awaited` was in one or, with 0, until there were publications_max
 * publications. false: talk->why. */
static bool listen_for(struct talk *talk, uint32_t awaited)
{
    bool is_done = awaited == 0 && has_all_publications(talk);
    while (!is_done) {
        struct str message;
        int timeout_ms = awaited != 0 ? WS_CLIENT_TIMEOUT_MS : talk->timeout_ms;
        if (!ws_client_receive(talk->client, timeout_ms, &message, &talk->why)) {
            return false;
        }
        do {
            struct json_member members[] = {
                {.name = "id"}, {.name = "error"}, {.name = "push"}, {.name = "connect"}};
            if (json_object_read_next(&message, members, 4, DEPTH_MAX) != JSON_READ_OK) {
                buf_append_lit(&talk->why, "the server sent something that is no reply");
                return false;
            }
            enum taken taken = take_object(talk, members, awaited);
            if (taken == TAKEN_END) {
                return false;
            }
            is_done = is_done || taken == TAKEN_REPLY || (awaited == 0 && has_all_publications(talk));
        } while (message.len > 0);
    }
    return true;
}

static bool talk_connect(struct talk *talk, const struct arguments *arguments)
{
    *talk = (struct talk){.timeout_ms = -1, .publications_max = arguments->count};
    if (!ws_client_open(&talk->client, arguments->url, &talk->why)) {
        return false;
    }
    command_begin(talk, "connect");
    buf_append_lit(&talk->outgoing, "\"name\":\"starling\"");
    if (arguments->token[0] != '\0') {
        buf_append_lit(&talk->outgoing, ",\"token\":");
        buf_append_json_string(&talk->outgoing, str_from_cstr(arguments->token));
    }
    return command_send(talk) && listen_for(talk, talk->last_id);
}

static int talk_end(struct talk *talk, bool is_good)
{
    ws_client_close(talk->client);
    if (!is_good) {
        (void)fprintf(stderr, "error: %.*s\n", STR_ARG(buf_str(&talk->why)));
    }
    buf_release(&talk->why);
    buf_release(&talk->outgoing);
    return is_good ? CLI_OK : CLI_FAILED;
}

/* -- commands -------------------------------------------------------------------------------------------- */

int cli_pub(int argc, char **argv)
{
    struct arguments arguments;
    struct talk talk;
    char token[TOKEN_BYTES_MAX];
    if (!parse(&arguments, argc, argv)) {
        return CLI_USAGE;
    }
    if (arguments.word_count != 2) {
        return cli_refuse("pub", arguments.word_count < 2 ? "pub" : arguments.words[2],
                          arguments.word_count < 2 ? "needs a channel and a JSON value"
                                                   : "is one argument too many");
    }
    struct str channel = str_from_cstr(arguments.words[0]);
    struct str data = str_from_cstr(arguments.words[1]);
    if (!json_validate(data, DEPTH_MAX)) {
        return cli_refuse("pub", arguments.words[1],
                          "is not JSON: a text needs quotes of its own, '\"hello\"'");
    }
    if (!read_token(&arguments, token, sizeof token)) {
        return CLI_USAGE;
    }
    bool is_good = talk_connect(&talk, &arguments);
    if (is_good) {
        command_begin(&talk, "publish");
        buf_append_lit(&talk.outgoing, "\"channel\":");
        buf_append_json_string(&talk.outgoing, channel);
        buf_append_lit(&talk.outgoing, ",\"data\":");
        json_append_compact_newlines(&talk.outgoing, data);
        is_good = command_send(&talk) && listen_for(&talk, talk.last_id);
    }
    return talk_end(&talk, is_good);
}

int cli_sub(int argc, char **argv)
{
    struct arguments arguments;
    struct talk talk;
    char token[TOKEN_BYTES_MAX];
    if (!parse(&arguments, argc, argv)) {
        return CLI_USAGE;
    }
    if (arguments.word_count == 0) {
        return cli_refuse("sub", "sub", "needs a channel");
    }
    if (!read_token(&arguments, token, sizeof token)) {
        return CLI_USAGE;
    }
    bool is_good = talk_connect(&talk, &arguments);
    for (size_t i = 0; i < arguments.word_count && is_good; i++) {
        command_begin(&talk, "subscribe");
        buf_append_lit(&talk.outgoing, "\"channel\":");
        buf_append_json_string(&talk.outgoing, str_from_cstr(arguments.words[i]));
        is_good = command_send(&talk) && listen_for(&talk, talk.last_id);
    }
    is_good = is_good && listen_for(&talk, 0);
    return talk_end(&talk, is_good);
}
