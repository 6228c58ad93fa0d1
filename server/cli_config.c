#include "server/cli.h"

#include "channels/base/buf.h"
#include "channels/base/random.h"
#include "server/config_file.h"
#include "server/config_internal.h"
#include "server/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

/* Arguments */

/* Takes the value of argv[*i]: what follows '=', or the next argument. NULL: there is none. */
static const char *take_value(int argc, char **argv, int *i)
{
    const char *equals = strchr(argv[*i], '=');
    if (equals != NULL) {
        return equals + 1;
    }
    if (*i + 1 >= argc) {
        return NULL;
    }
    (*i)++;
    return argv[*i];
}

/* `name` alone or with a value behind '='. */
static bool is_flag(const char *argument, const char *name)
{
    size_t len = strlen(name);
    return strncmp(argument, name, len) == 0 && (argument[len] == '\0' || argument[len] == '=');
}

static bool is_boolean(struct str path)
{
    const struct option_row *row = config_row_find(path);
    struct str prefix = STR("channel.without_namespace.");
    if (row == NULL && str_starts_with(path, prefix)) {
        row = channel_option_row_find(str_skip(path, prefix.len));
    }
    /* An unknown flag takes nothing with it: the note about it is all that should be said. */
    return (row == NULL || row->type == VALUE_boolean) && !str_is(path, "channel.namespaces");
}

static bool add_flag(struct cli_arguments *out, struct str path, const char *value)
{
    if (out->source.flag_count == CLI_FLAGS_MAX) {
        return false;
    }
    out->flags[out->source.flag_count++] = (struct config_flag){.path = path, .value = str_from_cstr(value)};
    return true;
}

/* --section.option, with its value behind '=' or, unless it is a boolean, in the next argument. */
static bool take_option(struct cli_arguments *out, int argc, char **argv, int *i)
{
    struct str rest = str_from_cstr(argv[*i] + 2);
    struct str path = str_next(&rest, '=');
    const char *value = rest.at;
    if (value == NULL && !is_boolean(path)) {
        value = take_value(argc, argv, i);
    }
    return add_flag(out, path, value);
}

static const char *default_file(void)
{
    static const char *const files[] = {"starling.json", "starling.yaml", "starling.yml"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (access(files[i], F_OK) == 0) {
            return files[i];
        }
    }
    return NULL;
}

/* One argument. NULL: understood; else what is wrong with it. */
static const char *take_argument(struct cli_arguments *out, int argc, char **argv, int *i)
{
    static const struct {
        const char *shortcut;
        const char *alias;
        struct str path;
    } shortcuts[] = {{"-a", "--address", {"http_server.address", 19}},
                     {"-p", "--port", {"http_server.port", 16}}};
    const char *argument = argv[*i];
    if (strcmp(argument, "--dev") == 0) {
        out->source.is_dev = true;
        return NULL;
    }
    if (strcmp(argument, "--insecure") == 0) {
        out->source.allows_weak_secrets = true;
        return NULL;
    }
    if (strcmp(argument, "--print-config") == 0) {
        out->prints_config = true;
        return NULL;
    }
    if (strcmp(argument, "--strict") == 0 || strcmp(argument, "-s") == 0) {
        out->is_strict = true;
        return NULL;
    }
    if (is_flag(argument, "-c") || is_flag(argument, "--config")) {
        out->source.file = take_value(argc, argv, i);
        return out->source.file == NULL ? "needs a file" : NULL;
    }
    if (is_flag(argument, "--dev-address")) {
        out->source.is_dev = true;
        out->source.dev_address = take_value(argc, argv, i);
        return out->source.dev_address == NULL ? "needs an address" : NULL;
    }
    for (size_t j = 0; j < sizeof shortcuts / sizeof shortcuts[0]; j++) {
        if (is_flag(argument, shortcuts[j].shortcut) || is_flag(argument, shortcuts[j].alias)) {
            return add_flag(out, shortcuts[j].path, take_value(argc, argv, i)) ? NULL
                                                                               : "is one flag too many";
        }
    }
    if (strncmp(argument, "--", 2) == 0 && argument[2] != '\0') {
        return take_option(out, argc, argv, i) ? NULL : "is one flag too many";
    }
    return "is not understood";
}

bool cli_arguments_parse(struct cli_arguments *out, int argc, char **argv)
{
    *out = (struct cli_arguments){.source = {.environment = environ}};
    out->source.flags = out->flags;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        const char *problem = take_argument(out, argc, argv, &i);
        if (problem != NULL) {
            bool is_serve = argv[0][0] == '-' || strchr(argv[0], '/') != NULL;
            (void)cli_refuse(is_serve ? "serve" : argv[0], argument, problem);
            return false;
        }
    }
    if (out->source.file == NULL && !out->source.is_dev) {
        out->source.file = default_file();
    }
    return true;
}

/* serve, checkconfig, configdoc */

int cli_serve(int argc, char **argv, serve_function *serve)
{
    struct cli_arguments arguments;
    struct config_report report = {0};
    struct config *config = NULL;
    int code = CLI_USAGE;
    if (!cli_arguments_parse(&arguments, argc, argv)) {
        return CLI_USAGE;
    }
    if (arguments.is_strict) {
        return cli_refuse("serve", "--strict", "is for checkconfig");
    }
    enum status status = config_load(&config, &arguments.source, &report);
    config_report_print(&report, stderr);
    config_report_release(&report);
    if (status == STATUS_OK && arguments.prints_config) {
        config_print(config, stdout);
        code = CLI_OK;
    } else if (status == STATUS_OK) {
        code = serve(config, &arguments.source);
    } else if (status == STATUS_NO_MEMORY) {
        (void)fprintf(stderr, "error: no memory\n");
        code = CLI_FAILED;
    }
    config_free(config);
    return code;
}

int cli_checkconfig(int argc, char **argv)
{
    struct cli_arguments arguments;
    struct config_report report = {0};
    struct config *config = NULL;
    if (!cli_arguments_parse(&arguments, argc, argv)) {
        return CLI_USAGE;
    }
    enum status status = config_load(&config, &arguments.source, &report);
    bool is_good = status == STATUS_OK && !(arguments.is_strict && report.unknown_count > 0);
    config_report_print(&report, stderr);
    if (status == STATUS_OK && arguments.prints_config) {
        config_print(config, stdout);
    }
    const char *file = arguments.source.file == NULL ? "no file" : arguments.source.file;
    (void)fprintf(is_good ? stdout : stderr, "%s: %s\n", is_good ? "ok" : "refused", file);
    config_report_release(&report);
    config_free(config);
    return is_good ? CLI_OK : CLI_FAILED;
}

int cli_configdoc(int argc, char **argv)
{
    if (argc > 1) {
        return cli_refuse("configdoc", argv[1], "is not understood");
    }
    config_print_markdown(stdout);
    return CLI_OK;
}

/* genconfig */

enum { SECRET_RANDOM_BYTES = 32, SECRET_TEXT_LEN = 2 * SECRET_RANDOM_BYTES };

static void make_secret(char out[SECRET_TEXT_LEN + 1])
{
    unsigned char bytes[SECRET_RANDOM_BYTES];
    random_bytes(bytes, sizeof bytes);
    crypto_hex(str_make((const char *)bytes, sizeof bytes), out);
    out[SECRET_TEXT_LEN] = '\0';
}

static const char json_form[] = "{\n"
                                "  \"http_server\": {\"port\": 8000},\n"
                                "  \"client\": {\n"
                                "    \"allowed_origins\": [],\n"
                                "    \"token\": {\"hmac_secret_key\": \"%s\"}\n"
                                "  },\n"
                                "  \"http_api\": {\"key\": \"%s\"},\n"
                                "  \"session\": {\"keys\": {\"1\": \"%s\"}, \"key_version\": 1},\n"
                                "  \"channel\": {\n"
                                "    \"namespaces\": [\n"
                                "      {\n"
                                "        \"name\": \"chat\",\n"
                                "        \"presence\": true,\n"
                                "        \"join_leave\": true,\n"
                                "        \"force_push_join_leave\": true,\n"
                                "        \"history_size\": 300,\n"
                                "        \"history_ttl\": \"24h\",\n"
                                "        \"force_recovery\": true,\n"
                                "        \"allow_subscribe_for_client\": true,\n"
                                "        \"allow_publish_for_subscriber\": true,\n"
                                "        \"allow_presence_for_subscriber\": true,\n"
                                "        \"allow_history_for_subscriber\": true\n"
                                "      }\n"
                                "    ]\n"
                                "  }\n"
                                "}\n";

static const char yaml_form[] =
    "# `starling configdoc` lists every option; `starling checkconfig` checks this file.\n"
    "http_server:\n"
    "  port: 8000\n"
    "\n"
    "client:\n"
    "  # Browsers connect from these pages only; empty: from this server's own.\n"
    "  allowed_origins: []\n"
    "  token:\n"
    "    # Your backend signs connection tokens with it: starling gentoken -u USER\n"
    "    hmac_secret_key: \"%s\"\n"
    "\n"
    "http_api:\n"
    "  # Your backend sends it with every call, in the header X-API-Key.\n"
    "  key: \"%s\"\n"
    "\n"
    "# An administrator signs in from a browser; the hash is made by: starling hashpassword\n"
    "# admin:\n"
    "#   enabled: true\n"
    "#   password_hash: \"\"\n"
    "session:\n"
    "  # Signs session cookies. To rotate: add \"2\", set key_version to it, take \"1\" away later.\n"
    "  keys:\n"
    "    \"1\": \"%s\"\n"
    "  key_version: 1\n"
    "\n"
    "channel:\n"
    "  namespaces:\n"
    "    # Channels chat:..., with who is there and the last 300 messages of a day.\n"
    "    - name: chat\n"
    "      presence: true\n"
    "      join_leave: true\n"
    "      force_push_join_leave: true\n"
    "      history_size: 300\n"
    "      history_ttl: 24h\n"
    "      force_recovery: true\n"
    "      allow_subscribe_for_client: true\n"
    "      allow_publish_for_subscriber: true\n"
    "      allow_presence_for_subscriber: true\n"
    "      allow_history_for_subscriber: true\n";

/* Readable by its owner only, and never over something that is there. */
static const char *write_new(const char *path, struct str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return strerror(errno);
    }
    const char *problem = NULL;
    while (text.len > 0 && problem == NULL) {
        ssize_t count = write(fd, text.at, text.len);
        if (count >= 0) {
            text = str_skip(text, (size_t)count);
        } else if (errno != EINTR) {
            problem = strerror(errno);
        }
    }
    if (close(fd) != 0 && problem == NULL) {
        problem = strerror(errno);
    }
    if (problem != NULL) {
        (void)unlink(path); /* half a file would only be in the way; what failed is said already */
    }
    return problem;
}

int cli_genconfig(int argc, char **argv)
{
    const char *path = "starling.json";
    enum config_format format = CONFIG_JSON;
    char token_secret[SECRET_TEXT_LEN + 1];
    char api_key[SECRET_TEXT_LEN + 1];
    char session_key[SECRET_TEXT_LEN + 1];
    struct buf text = {0};
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (!is_flag(argument, "-c") && !is_flag(argument, "--config")) {
            return cli_refuse("genconfig", argument, "is not understood");
        }
        path = take_value(argc, argv, &i);
        if (path == NULL) {
            return cli_refuse("genconfig", argument, "needs a file");
        }
    }
    if (!config_format_of(path, &format)) {
        return cli_refuse("genconfig", path, "must end in .json, .yaml or .yml");
    }
    make_secret(token_secret);
    make_secret(api_key);
    make_secret(session_key);
    if (format == CONFIG_JSON) {
        buf_printf(&text, json_form, token_secret, api_key, session_key);
    } else {
        buf_printf(&text, yaml_form, token_secret, api_key, session_key);
    }
    const char *problem = text.failed ? "no memory" : write_new(path, buf_str(&text));
    buf_release(&text);
    if (problem != NULL) {
        (void)fprintf(stderr, "error: cannot write '%s': %s\n", path, problem);
        return CLI_FAILED;
    }
    (void)printf("wrote %s; run it with: starling -c %s\n", path, path);
    return CLI_OK;
}
