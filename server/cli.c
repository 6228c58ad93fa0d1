#include "server/cli.h"

#include "channels/base/hash.h"
#include "server/cli_doctor.h"
#include "server/cli_explain.h"
#include "server/cli_tokens.h"
#include "server/version.h"

#include <stdlib.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: serve, which needs a function of main's */
    const char *arguments;
    const char *meaning;
    const char *details;
    const char *example;
};

static const struct command commands[] = {
    {
        .name = "serve",
        .arguments = "[-c FILE] [-a ADDRESS] [-p PORT] [--dev] [--section.option=value ...]",
        .meaning = "run the server (also without a command)",
        .details =
            "  -c, --config FILE       configuration, .json or .yaml; default: starling.json, .yaml or .yml "
            "here\n"
            "  -a, --address ADDRESS   as --http_server.address\n"
            "  -p, --port PORT         as --http_server.port\n"
            "      --dev               no authentication, demo namespaces, loopback only\n"
            "      --dev-address ADDR  --dev on another address than loopback\n"
            "      --insecure          accept short, well-known or world-readable secrets\n"
            "      --print-config      print every option with its value and source, and stop\n"
            "      --section.option=value  any option; `starling configdoc` lists them. The environment\n"
            "                          sets the same ones: STARLING_SECTION_OPTION\n",
        .example = "starling serve -c starling.json --log.level=debug",
    },
    {
        .name = "genconfig",
        .run = cli_genconfig,
        .arguments = "[-c FILE]",
        .meaning = "write a starter configuration with random secrets",
        .details =
            "  -c, --config FILE       where to, .json or .yaml; default: starling.json. Never overwrites\n",
        .example = "starling genconfig -c starling.yaml",
    },
    {
        .name = "checkconfig",
        .run = cli_checkconfig,
        .arguments = "[-c FILE] [--strict] [--section.option=value ...]",
        .meaning = "say what is wrong with a configuration; exit 1 if something is",
        .details = "  -c, --config FILE       configuration; default: starling.json, .yaml or .yml here\n"
                   "  -s, --strict            unknown keys and STARLING_ variables are errors too\n"
                   "      --print-config      print every option with its value and source\n",
        .example = "starling checkconfig --strict -c starling.yaml",
    },
    {
        .name = "configdoc",
        .run = cli_configdoc,
        .arguments = "",
        .meaning = "print every option as Markdown tables",
        .details = "",
        .example = "starling configdoc > options.md",
    },
    {
        .name = "gentoken",
        .run = cli_gentoken,
        .arguments = "-u USER [-c FILE] [-t SECONDS] [-q]",
        .meaning = "make a connection token",
        .details = "  -c, --config FILE       configuration with the secret\n"
                   "  -u, --user USER         the user; empty = anonymous\n"
                   "  -t, --ttl SECONDS       life; default: 7 days, -1 = no end\n"
                   "  -q, --quiet             the token only\n",
        .example = "starling gentoken -c starling.json -u 42 -q",
    },
    {
        .name = "gensubtoken",
        .run = cli_gensubtoken,
        .arguments = "-u USER -s CHANNEL [-c FILE] [-t SECONDS] [-q]",
        .meaning = "make a subscription token for one channel",
        .details = "  -c, --config FILE       configuration with the secret\n"
                   "  -u, --user USER         the user; empty = anonymous\n"
                   "  -s, --channel CHANNEL   the channel that the token opens\n"
                   "  -t, --ttl SECONDS       life; default: 7 days, -1 = no end\n"
                   "  -q, --quiet             the token only\n",
        .example = "starling gensubtoken -c starling.json -u 42 -s '$orders' -q",
    },
    {
        .name = "checktoken",
        .run = cli_checktoken,
        .arguments = "[-c FILE] TOKEN",
        .meaning = "say what the server would say to a connection token",
        .details = "  -c, --config FILE       configuration with the keys\n"
                   "  TOKEN                   - reads it from standard input\n",
        .example = "starling gentoken -u 42 -q | starling checktoken -",
    },
    {
        .name = "checksubtoken",
        .run = cli_checksubtoken,
        .arguments = "[-c FILE] TOKEN",
        .meaning = "say what the server would say to a subscription token",
        .details = "  -c, --config FILE       configuration with the keys\n"
                   "  TOKEN                   - reads it from standard input\n",
        .example = "starling gensubtoken -u 42 -s '$orders' -q | starling checksubtoken -",
    },
    {
        .name = "explain",
        .run = cli_explain,
        .arguments = "subscribe|publish|history|presence -u USER --channel CHANNEL [--token TOKEN] [-c FILE]",
        .meaning = "say whether a user may do something in a channel, and which rule decides",
        .details = "  -u, --user USER         the user; empty = anonymous\n"
                   "      --channel CHANNEL   the channel\n"
                   "      --token TOKEN       for subscribe: the subscription token\n"
                   "      --subscribed        the client is subscribed to the channel\n"
                   "  -c, --config FILE       configuration, and --section.option=value as for serve\n",
        .example = "starling explain publish -u 42 --channel chat:lobby",
    },
    {
        .name = "gencookie",
        .run = cli_gencookie,
        .arguments = "-u USER [-c FILE]",
        .meaning = "make a login cookie as the application of client.cookie_auth would",
        .details = "  -c, --config FILE       configuration with the keys\n"
                   "  -u, --user USER         the user that the cookie names\n",
        .example = "starling gencookie -u 42",
    },
    {
        .name = "hashpassword",
        .run = cli_hashpassword,
        .arguments = "",
        .meaning = "read a password from standard input and print its hash for admin.password_hash",
        .details = "",
        .example = "starling hashpassword < password.txt",
    },
    {
        .name = "doctor",
        .run = cli_doctor,
        .arguments = "URL [URL ...] [--token TOKEN] | --local [-c FILE]",
        .meaning = "say which step on the way to a server fails, and the likely cause",
        .details =
            "  URL                     ws, wss, http or https; several are hops, the public one first\n"
            "      --token TOKEN       connection token for the connect command\n"
            "      --local             ask the configured port whether it is ready; says nothing if so\n"
            "  -c, --config FILE       for --local, and --section.option=value as for serve\n",
        .example = "starling doctor wss://chat.example.com",
    },
    {
        .name = "pub",
        .run = cli_pub,
        .arguments = "CHANNEL JSON [--url URL] [--token TOKEN]",
        .meaning = "publish to a channel of a running server",
        .details = "      --url URL           default: ws://127.0.0.1:8000/connection/websocket\n"
                   "      --token TOKEN       connection token; - reads it from standard input\n",
        .example = "starling pub chat:lobby '{\"text\": \"hello\"}'",
    },
    {
        .name = "sub",
        .run = cli_sub,
        .arguments = "CHANNEL [CHANNEL ...] [--url URL] [--token TOKEN] [--count N]",
        .meaning = "print what is published in channels, one line each",
        .details = "      --url URL           default: ws://127.0.0.1:8000/connection/websocket\n"
                   "      --token TOKEN       connection token; - reads it from standard input\n"
                   "      --count N           stop after N publications\n",
        .example = "starling sub chat:lobby feed:demo",
    },
    {
        .name = "version",
        .run = cli_version,
        .arguments = "[--json]",
        .meaning = "print the version",
        .details = "",
        .example = "starling version --json",
    },
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    (void)fprintf(out, "starling " STARLING_VERSION ": real-time channels over WebSocket\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].meaning);
    }
    (void)fprintf(out, "  %-14s %s\n\n", "help", "this");
    (void)fprintf(out, "starling COMMAND --help explains a command. To begin: starling --dev\n");
}

static int print_command_help(const struct command *command)
{
    (void)printf("starling %s %s\n%s\n\n%s%sexample: %s\n", command->name, command->arguments,
                 command->meaning, command->details, command->details[0] == '\0' ? "" : "\n",
                 command->example);
    return CLI_OK;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

int cli_refuse(const char *command, const char *argument, const char *problem)
{
    (void)fprintf(stderr, "error: '%s' %s\nstarling %s --help explains the command\n", argument, problem,
                  command);
    return CLI_USAGE;
}

int cli_main(int argc, char **argv, serve_function *serve)
{
    hash_seed();
    bool has_name = argc > 1 && argv[1][0] != '-';
    const char *name = has_name ? argv[1] : "serve";
    bool wants_overview = !has_name && asks_for_help(argc, argv);
    if (wants_overview || strcmp(name, "help") == 0) {
        const struct command *topic = has_name && argc > 2 ? find_command(argv[2]) : NULL;
        if (topic != NULL) {
            return print_command_help(topic);
        }
        print_help(stdout);
        return CLI_OK;
    }
    if (!has_name && argc > 1 && strcmp(argv[1], "--version") == 0) {
        name = "version";
    }
    const struct command *command = find_command(name);
    if (command == NULL) {
        (void)fprintf(stderr, "error: there is no command '%s'\n\n", name);
        print_help(stderr);
        return CLI_USAGE;
    }
    /* Each command sees its own name first, whether it was written or not. */
    int skipped = has_name ? 1 : 0;
    if (asks_for_help(argc - skipped, argv + skipped)) {
        return print_command_help(command);
    }
    if (command->run == NULL) {
        return cli_serve(argc - skipped, argv + skipped, serve);
    }
    return command->run(has_name ? argc - 1 : 1, argv + skipped);
}

int cli_version(int argc, char **argv)
{
    bool is_json = argc == 2 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !is_json) {
        return cli_refuse("version", argv[1], "is not understood");
    }
    if (is_json) {
        (void)printf("{\"name\":\"starling\",\"version\":\"" STARLING_VERSION "\",\"protocol\":2}\n");
    } else {
        (void)printf("starling " STARLING_VERSION "\n");
    }
    return CLI_OK;
}
