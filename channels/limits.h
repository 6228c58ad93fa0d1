/* limits.h - bounds that are not options: what sizes a fixed array or a wire field.
 *
 * Everything that an operator may want to change is a row of server/config_options.h with the same kind of
 * reason.
 */
#ifndef STARLING_CHANNELS_LIMITS_H
#define STARLING_CHANNELS_LIMITS_H

enum {
    /* A publication visits workers by a bit in one 64-bit word. */
    LIMIT_WORKERS = 64,
    /* Longest channel name that any configuration may allow; the default is 255 (PROTOCOL section 10). */
    LIMIT_CHANNEL_BYTES = 1024,
    /* How long an idempotency key answers with its first result (SERVER_API section 3.1). */
    LIMIT_IDEMPOTENCY_TTL_MS = 5 * 60 * 1000,
    /* Longest idempotency key, and the most that one channel remembers; the oldest goes first. */
    LIMIT_IDEMPOTENCY_KEY_BYTES = 256,
    LIMIT_IDEMPOTENCY_KEYS = 10000,
    /* Longest epoch of a stream that any broker makes; ours has 8 letters (PROTOCOL section 7.1). */
    LIMIT_EPOCH_BYTES = 64,
    /* Longest version_epoch of a versioned publish. */
    LIMIT_VERSION_EPOCH_BYTES = 64,
};

#endif
