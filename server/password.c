#include "server/password.h"

/* Not <sodium.h>, whose crypto_hash() is not ours. */
#include <sodium/core.h>
#include <sodium/crypto_pwhash_argon2id.h>
#include <sodium/utils.h>

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_argon2id_STRBYTES, "a hash fits with its NUL");

bool password_hash(struct str password, char out[PASSWORD_HASH_SIZE])
{
    return sodium_init() >= 0 && crypto_pwhash_argon2id_str(out, password.at, password.len,
                                                            crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
                                                            crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE) == 0;
}

bool password_hash_is_valid(const char *hash)
{
    /* Parses the text; -1: it could not. Whether other parameters would be better is not asked here. */
    return strlen(hash) < PASSWORD_HASH_SIZE && sodium_init() >= 0 &&
           str_starts_with(str_from_cstr(hash), STR(crypto_pwhash_argon2id_STRPREFIX)) &&
           crypto_pwhash_argon2id_str_needs_rehash(hash, crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
                                                   crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE) != -1;
}

bool password_matches(const char *hash, struct str password)
{
    return sodium_init() >= 0 && crypto_pwhash_argon2id_str_verify(hash, password.at, password.len) == 0;
}

void password_forget(void *bytes, size_t len)
{
    sodium_memzero(bytes, len);
}
