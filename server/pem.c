#include "server/pem.h"

#include "channels/base/str.h"
#include "server/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char marker[] = "-----BEGIN ";

static bool fail(struct buf *why, const char *option, const char *problem)
{
    buf_printf(why, "%s: %s", option, problem);
    return false;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return NULL;
    }
    char *text = malloc(PEM_BYTES_MAX + 1);
    size_t len = text == NULL ? 0 : fread(text, 1, PEM_BYTES_MAX, file);
    bool is_whole = text != NULL && feof(file) && !ferror(file);
    fclose(file);
    if (!is_whole) {
        free(text);
        errno = EFBIG;
        return NULL;
    }
    text[len] = '\0';
    return text;
}

static char *decode(struct str base64)
{
    char *text = malloc(CRYPTO_BASE64_BYTES_MAX(base64.len) + 1);
    size_t len;
    if (text == NULL || !crypto_base64_decode(base64, text, CRYPTO_BASE64_BYTES_MAX(base64.len), &len)) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    return text;
}

bool pem_load(const char *value, const char *option, char **out, struct buf *why)
{
    if (value[0] == '\0') {
        return fail(why, option, "is not set, and http_server.tls.enabled is on");
    }
    char *text = NULL;
    if (strstr(value, marker) != NULL) {
        text = str_to_cstr(str_from_cstr(value));
    } else if ((text = decode(str_from_cstr(value))) == NULL || strstr(text, marker) == NULL) {
        pem_free(text);
        text = read_file(value);
        if (text == NULL) {
            return fail(why, option, strerror(errno));
        }
    }
    if (text == NULL || strstr(text, marker) == NULL) {
        pem_free(text);
        return fail(why, option, "holds no PEM text");
    }
    *out = text;
    return true;
}

void pem_free(char *pem)
{
    if (pem != NULL) {
        explicit_bzero(pem, strlen(pem));
        free(pem);
    }
}
