/* cli.h - the command line: which command, which flags, which exit code.
 *
 *     starling [serve] [-c FILE] [--section.option=value …]
 *     starling COMMAND [arguments]        starling help        starling COMMAND --help
 *
 * One row of a table per command. Exit codes: 0 done, 1 it failed, 2 the arguments or the configuration are
 * wrong. What was asked for goes to standard output, everything else to standard error.
 *
 * Thread: main, before any other.   Source: SERVER_API section 9, EXPERIENCE section D.
 */
#ifndef STARLING_SERVER_CLI_H
#define STARLING_SERVER_CLI_H

#include "server/config.h"

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* Runs the server until it is told to stop and returns the exit code. Both stay the caller's; `source` is
 * read again for a reload. */
typedef int serve_function(struct config *config, const struct config_source *source);

/* The whole program: picks the command and returns the exit code. */
int cli_main(int argc, char **argv, serve_function *serve);

enum { CLI_FLAGS_MAX = 256 };

/* What commands that read the configuration understand. Texts are borrowed from argv. */
struct cli_arguments {
    struct config_source source; /* its flags point to those below */
    struct config_flag flags[CLI_FLAGS_MAX];
    bool prints_config; /* --print-config */
    bool is_strict;     /* --strict, -s: only where the command takes it */
};

/* Reads -c FILE, -a ADDRESS, -p PORT, --dev, --dev-address ADDRESS, --insecure, --print-config, --strict, and
 * --section.option=value for every option, from argv[1] on. Without -c (and without --dev) the file is
 * starling.json, starling.yaml or starling.yml of the current directory, if one is there. The environment is
 * the process's. false: something is not understood, and standard error says what. */
bool cli_arguments_parse(struct cli_arguments *out, int argc, char **argv);

/* The commands. argv[0] is the command's name; each returns an exit code. */
int cli_serve(int argc, char **argv, serve_function *serve);
int cli_checkconfig(int argc, char **argv);
int cli_genconfig(int argc, char **argv);
int cli_configdoc(int argc, char **argv);
int cli_version(int argc, char **argv);

/* Make what client.cookie_auth reads, and what admin.password_hash is. */
int cli_gencookie(int argc, char **argv);
int cli_hashpassword(int argc, char **argv);

/* Talk to a running server; messages of `sub` are lines of JSON, {"channel":...,"data":...}. */
int cli_pub(int argc, char **argv);
int cli_sub(int argc, char **argv);

/* Prints "error: 'ARGUMENT' …" with the advice to ask for help; returns CLI_USAGE. */
int cli_refuse(const char *command, const char *argument, const char *problem);

#endif
