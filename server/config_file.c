#include "server/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

bool config_format_of(const char *path, enum config_format *out)
{
    struct str name = str_from_cstr(path);
    bool is_yaml = str_ends_with(name, STR(".yaml")) || str_ends_with(name, STR(".yml"));
    *out = is_yaml ? CONFIG_YAML : CONFIG_JSON;
    return is_yaml || str_ends_with(name, STR(".json"));
}

bool config_read_file(const char *path, size_t bytes_max, struct buf *out, bool *is_public, struct buf *why)
{
    struct stat about = {0};
    const char *reason = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &about) != 0) {
        reason = strerror(errno);
    }
    while (reason == NULL) {
        if (!buf_reserve(out, 4096)) {
            reason = "no memory";
            break;
        }
        ssize_t count = read(fd, out->at + out->len, out->capacity - out->len);
        if (count < 0) {
            reason = errno == EINTR ? NULL : strerror(errno);
            continue;
        }
        if (count == 0) {
            break;
        }
        out->len += (size_t)count;
        if (out->len > bytes_max) {
            reason = "it is too large";
        }
    }
    if (fd >= 0) {
        (void)close(fd); /* read only: nothing can be lost */
    }
    if (reason != NULL) {
        buf_printf(why, "cannot read '%s': %s", path, reason);
        return false;
    }
    *is_public = (about.st_mode & S_IROTH) != 0;
    return true;
}

static json_t *parse_json(struct str text, struct buf *why)
{
    json_error_t error;
    json_t *root = json_loadb(text.at == NULL ? "" : text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        /* The text goes on with "near '…'", the content there, which may be a secret. */
        char *near = strstr(error.text, " near ");
        if (near != NULL) {
            *near = '\0';
        }
        buf_printf(why, "line %d column %d: %s", error.line, error.column,
                   json_error_code(&error) == json_error_duplicate_key ? "a key occurs twice" : error.text);
    }
    return root;
}

/* YAML: a stack of open collections, filled event by event. */

struct level {
    json_t *collection; /* owned by the collection above it, or by the root */
    char *key;          /* owned; in a mapping, the key whose value comes next */
};

struct yaml_reader {
    yaml_parser_t parser;
    struct level levels[CONFIG_DEPTH_MAX];
    size_t depth;
    json_t *root; /* owned */
    struct buf *why;
    bool is_done;
};

static bool refuse_at(struct yaml_reader *reader, size_t line, const char *problem)
{
    buf_printf(reader->why, "line %zu: %s", line + 1, problem);
    return false;
}

static json_t *scalar_value(const yaml_event_t *event)
{
    struct str text = str_make((const char *)event->data.scalar.value, event->data.scalar.length);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        struct str digits = str_starts_with(text, STR("-")) ? str_skip(text, 1) : text;
        uint64_t number;
        if (text.len == 0 || str_is(text, "~") || str_is(text, "null")) {
            return json_null();
        }
        if (str_is(text, "true") || str_is(text, "false")) {
            return json_boolean(str_is(text, "true"));
        }
        if (str_to_u64(digits, INT64_MAX, &number)) {
            return json_integer(digits.len < text.len ? -(json_int_t)number : (json_int_t)number);
        }
    }
    return json_stringn(text.at, text.len);
}

/* Puts `value`, which it takes, where the stack says. */
static bool place(struct yaml_reader *reader, json_t *value, size_t line)
{
    if (value == NULL) {
        return refuse_at(reader, line, "no memory");
    }
    if (reader->depth == 0) {
        reader->root = value;
        return true;
    }
    struct level *level = &reader->levels[reader->depth - 1];
    int failed;
    if (json_is_array(level->collection)) {
        failed = json_array_append_new(level->collection, value);
    } else {
        failed = json_object_set_new(level->collection, level->key, value);
        free(level->key);
        level->key = NULL;
    }
    return failed == 0 || refuse_at(reader, line, "no memory");
}

/* In a mapping every other scalar is a key. */
static bool expects_key(const struct yaml_reader *reader)
{
    return reader->depth > 0 && json_is_object(reader->levels[reader->depth - 1].collection) &&
           reader->levels[reader->depth - 1].key == NULL;
}

static bool take_key(struct yaml_reader *reader, const yaml_event_t *event)
{
    struct level *level = &reader->levels[reader->depth - 1];
    struct str key = str_make((const char *)event->data.scalar.value, event->data.scalar.length);
    if (str_is(key, "<<")) {
        return refuse_at(reader, event->start_mark.line, "merge keys are not supported");
    }
    level->key = str_to_cstr(key);
    if (level->key == NULL) {
        return refuse_at(reader, event->start_mark.line, "no memory");
    }
    if (json_object_get(level->collection, level->key) != NULL) {
        return refuse_at(reader, event->start_mark.line, "a key occurs twice");
    }
    return true;
}

static bool take_scalar(struct yaml_reader *reader, const yaml_event_t *event)
{
    size_t line = event->start_mark.line;
    if (event->data.scalar.anchor != NULL) {
        return refuse_at(reader, line, "anchors are not supported");
    }
    if (event->data.scalar.tag != NULL) {
        return refuse_at(reader, line, "tags are not supported");
    }
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL) {
        return refuse_at(reader, line, "a text contains a NUL");
    }
    return expects_key(reader) ? take_key(reader, event) : place(reader, scalar_value(event), line);
}

static bool open_collection(struct yaml_reader *reader, const yaml_event_t *event)
{
    bool is_mapping = event->type == YAML_MAPPING_START_EVENT;
    size_t line = event->start_mark.line;
    if ((is_mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor) != NULL) {
        return refuse_at(reader, line, "anchors are not supported");
    }
    if ((is_mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag) != NULL) {
        return refuse_at(reader, line, "tags are not supported");
    }
    if (expects_key(reader)) {
        return refuse_at(reader, line, "a key must be a text");
    }
    if (reader->depth == CONFIG_DEPTH_MAX) {
        return refuse_at(reader, line, "nested too deep");
    }
    json_t *collection = is_mapping ? json_object() : json_array();
    if (!place(reader, collection, line)) {
        return false;
    }
    reader->levels[reader->depth++] = (struct level){.collection = collection};
    return true;
}

static bool take_event(struct yaml_reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: return true;
    case YAML_STREAM_END_EVENT: reader->is_done = true; return true;
    case YAML_DOCUMENT_START_EVENT:
        return reader->root == NULL ||
               refuse_at(reader, event->start_mark.line, "a second document is not supported");
    case YAML_ALIAS_EVENT: return refuse_at(reader, event->start_mark.line, "aliases are not supported");
    case YAML_SCALAR_EVENT: return take_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return open_collection(reader, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: reader->depth--; return true;
    }
    return false;
}

static json_t *parse_yaml(struct str text, struct buf *why)
{
    struct yaml_reader reader = {.why = why};
    bool is_good = true;
    if (!yaml_parser_initialize(&reader.parser)) {
        buf_append_lit(why, "no memory");
        return NULL;
    }
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)(text.at == NULL ? "" : text.at),
                                 text.len);
    while (is_good && !reader.is_done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader.parser, &event)) {
            /* problem is one of libyaml's own sentences, never content. */
            is_good = refuse_at(&reader, reader.parser.problem_mark.line,
                                reader.parser.problem == NULL ? "not YAML" : reader.parser.problem);
            break;
        }
        is_good = take_event(&reader, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&reader.parser);
    for (size_t i = 0; i < reader.depth; i++) {
        free(reader.levels[i].key);
    }
    if (!is_good) {
        json_decref(reader.root);
        return NULL;
    }
    if (reader.root == NULL || json_is_null(reader.root)) {
        json_decref(reader.root);
        return json_object();
    }
    return reader.root;
}

json_t *config_parse(enum config_format format, struct str text, struct buf *why)
{
    if (text.len > CONFIG_FILE_BYTES_MAX) {
        buf_append_lit(why, "it is too large");
        return NULL;
    }
    json_t *root = format == CONFIG_JSON ? parse_json(text, why) : parse_yaml(text, why);
    if (root != NULL && !json_is_object(root)) {
        buf_append_lit(why, "the file is not one object of sections");
        json_decref(root);
        return NULL;
    }
    return root;
}
