/* cli_explain.h - `starling explain`: may this user do that in this channel, and which rule decides?
 *
 * Walks the path of PROTOCOL section 10 with the functions that the server itself uses, prints each step and
 * then the verdict, without a server running. What a channel, a user or a token holds is printed escaped.
 *
 * Thread: main, before any other.   Exit codes: 0 allowed, 1 refused, 2 wrong arguments or configuration.
 */
#ifndef STARLING_SERVER_CLI_EXPLAIN_H
#define STARLING_SERVER_CLI_EXPLAIN_H

/* argv[0] is the command's name. Returns an exit code. */
int cli_explain(int argc, char **argv);

#endif
