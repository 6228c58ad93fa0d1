#include "channels/base/clock.h"
#include "server/cli.h"
#include "server/cli_tokens.h"
#include "server/config.h"
#include "server/password.h"
#include "server/signed_cookie.h"

#include <getopt.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* -- hashpassword ---------------------------------------------------------------------------------------- */

/* Reads one line of standard input, which a terminal does not show. false: nothing came, or too much. */
static bool read_password(char *out, size_t size, struct str *out_password)
{
    struct termios shown;
    bool is_terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    if (is_terminal) {
        struct termios hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
        (void)fprintf(stderr, "password: ");
    }
    bool is_read = fgets(out, (int)size, stdin) != NULL;
    if (is_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        (void)fprintf(stderr, "\n");
    }
    if (!is_read) {
        return false;
    }
    size_t len = strcspn(out, "\n");
    *out_password = str_make(out, len);
    return out[len] == '\n' || feof(stdin) != 0;
}

int cli_hashpassword(int argc, char **argv)
{
    char line[PASSWORD_BYTES_MAX + 2];
    char hash[PASSWORD_HASH_SIZE];
    struct str password;
    if (argc > 1) {
        return cli_refuse("hashpassword", argv[1], "is not understood: the password is read, not given here");
    }
    bool is_good = read_password(line, sizeof line, &password) && password.len >= PASSWORD_BYTES_MIN &&
                   password.len <= PASSWORD_BYTES_MAX;
    if (!is_good) {
        (void)fprintf(stderr, "error: a password has %d to %d bytes\n", PASSWORD_BYTES_MIN,
                      PASSWORD_BYTES_MAX);
    }
    bool is_made = is_good && password_hash(password, hash);
    password_forget(line, sizeof line);
    if (is_made) {
        (void)printf("%s\n", hash);
    } else if (is_good) {
        (void)fprintf(stderr, "error: no memory\n");
    }
    return is_made ? CLI_OK : CLI_FAILED;
}

/* -- gencookie ------------------------------------------------------------------------------------------- */

/* The value of a cookie whose user is `user`, by client.cookie_auth.user_from. */
static void append_value(struct buf *out, const char *user_from, const char *user)
{
    struct str from = str_from_cstr(user_from);
    if (!str_starts_with(from, STR("json:"))) {
        buf_append_str(out, str_from_cstr(user));
        return;
    }
    buf_append_char(out, '{');
    buf_append_json_string(out, str_skip(from, 5));
    buf_append_char(out, ':');
    buf_append_json_string(out, str_from_cstr(user));
    buf_append_char(out, '}');
}

static int print_cookie(const struct config *config, const char *user)
{
    struct buf value = {0}, cookie = {0};
    const struct signed_cookie_use use = {.keys = &config->client_cookie_auth_keys,
                                          .key_version = config->client_cookie_auth_key_version,
                                          .name = str_from_cstr(config->client_cookie_auth_name),
                                          .now_s = clock_wall_ms() / 1000};
    append_value(&value, config->client_cookie_auth_user_from, user);
    bool is_made = !value.failed && signed_cookie_write(&use, buf_str(&value), &cookie);
    if (is_made) {
        (void)printf("%s=%.*s\n", config->client_cookie_auth_name, STR_ARG(buf_str(&cookie)));
    } else {
        (void)fprintf(stderr,
                      "error: client.cookie_auth has no key of key_version, or the user is too long\n");
    }
    buf_release(&value);
    buf_release(&cookie);
    return is_made ? CLI_OK : CLI_FAILED;
}

int cli_gencookie(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"user", required_argument, NULL, 'u'}, {0}};
    const char *file = NULL, *user = NULL;
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "c:u:", options, NULL)) != -1) {
        switch (option) {
        case 'c': file = optarg; break;
        case 'u': user = optarg; break;
        default: return CLI_USAGE;
        }
    }
    if (user == NULL || optind < argc) {
        (void)fprintf(stderr, "usage: starling gencookie -u USER [-c FILE]\n");
        return CLI_USAGE;
    }
    struct config *config = cli_load_config(file);
    int code = config == NULL ? CLI_FAILED : print_cookie(config, user);
    config_free(config);
    return code;
}
