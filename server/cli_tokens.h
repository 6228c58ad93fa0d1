/* cli_tokens.h - the commands that make and explain tokens.
 *
 *     starling gentoken    -c FILE -u USER [-t SECONDS] [-q]
 *     starling gensubtoken -c FILE -u USER -s CHANNEL [-t SECONDS] [-q]
 *     starling checktoken    [-c FILE] TOKEN
 *     starling checksubtoken [-c FILE] TOKEN
 *
 * A token lives for 7 days, or as long as -t says; -1 makes one without end. -q prints the token only. TOKEN
 * may be - to read it from standard input, which keeps it out of the shell's history. Without -c the file is
 * starling.json, starling.yaml or starling.yml of the current directory; the environment applies as it does
 * to the server, so that both use the same secret.
 *
 * checktoken prints what the server would say: valid, or the rule that refuses the token, and what each claim
 * means. Values are printed escaped and cut: a token may come from anybody.
 *
 * Thread: main, before any other.   Exit codes: 0 made or valid, 1 refused or failed, 2 wrong arguments.
 * Source: SERVER_API section 9, PROTOCOL section 9.
 */
#ifndef STARLING_SERVER_CLI_TOKENS_H
#define STARLING_SERVER_CLI_TOKENS_H

struct config;

/* Returns the configuration that `file` (NULL: the one found here) and the environment make, owned, or NULL
 * after saying why. Weak secrets are the server's to refuse. */
struct config *cli_load_config(const char *file);

/* argv[0] is the command's name. All return an exit code. */
int cli_gentoken(int argc, char **argv);
int cli_gensubtoken(int argc, char **argv);
int cli_checktoken(int argc, char **argv);
int cli_checksubtoken(int argc, char **argv);

#endif
