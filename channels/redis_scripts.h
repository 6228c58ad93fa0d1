/* redis_scripts.h - the Lua scripts of channels/redis, compiled in.
 *
 * The Makefile makes redis_scripts.c of the files. Each is loaded on every connection and called by its hash
 * (THREATS D07): its text is fixed, keys come as KEYS and values as ARGV.
 */
#ifndef STARLING_CHANNELS_REDIS_SCRIPTS_H
#define STARLING_CHANNELS_REDIS_SCRIPTS_H

enum redis_script_index {
    REDIS_SCRIPT_PUBLISH,
    REDIS_SCRIPT_PUBLISH_ONCE,
    REDIS_SCRIPT_TOUCH,
    REDIS_SCRIPT_JOIN,
    REDIS_SCRIPT_LEAVE,
    REDIS_SCRIPT_DROP_LEASE,
    REDIS_SCRIPT_BEAT,
    REDIS_SCRIPT_COUNT
};

struct redis_script {
    const char *name;
    const char *sha; /* SHA-1 of the text, 40 hexadecimal digits */
    const char *text;
};

extern const struct redis_script redis_scripts[REDIS_SCRIPT_COUNT];

#endif
