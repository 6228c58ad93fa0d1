/* main.c - the program: everything is in cli.c (which command) and serve.c (the server). */
#include "server/cli.h"
#include "server/serve.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv, serve_run);
}
