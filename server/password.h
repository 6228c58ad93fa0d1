/* password.h - hashes of passwords, Argon2id (RFC 9106): `starling hashpassword` makes one, sign-in compares.
 *
 * The text form is that of libsodium and of the reference implementation, $argon2id$v=19$m=65536,t=2,p=1$…;
 * it holds its own parameters and salt. Making or comparing takes tens of milliseconds and 64 MiB on purpose:
 * never on a worker's thread (login_thread.h).
 *
 * Thread: any; nothing here has state.   Limits: PASSWORD_BYTES_MAX.
 */
#ifndef STARLING_SERVER_PASSWORD_H
#define STARLING_SERVER_PASSWORD_H

#include "channels/base/str.h"

enum { PASSWORD_BYTES_MIN = 8, PASSWORD_BYTES_MAX = 1024, PASSWORD_HASH_SIZE = 128 };

/* Writes the text form with its NUL. false: no memory for the computation. */
bool password_hash(struct str password, char out[PASSWORD_HASH_SIZE]);

/* Is this the text form of an Argon2id hash? */
bool password_hash_is_valid(const char *hash);

/* Does the password belong to the hash? Constant in what it compares; false without memory too. */
bool password_matches(const char *hash, struct str password);

/* Overwrites a password that is not needed any more, in a way that the compiler keeps. */
void password_forget(void *bytes, size_t len);

#endif
