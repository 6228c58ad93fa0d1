/* engine.h - where channels live, as the configuration says: in this process, or in Redis.
 *
 * Thread: main opens and closes; in between it is constant.   Memory: one owner, before the first worker and
 * after the last.
 */
#ifndef STARLING_SERVER_ENGINE_H
#define STARLING_SERVER_ENGINE_H

#include <stdbool.h>

struct config;
struct redis_settings;

/* *out is NULL for the memory engine. false: standard error says what is wrong. */
bool engine_open(struct redis_settings **out, const struct config *config);
/* NULL is fine. */
void engine_close(struct redis_settings *settings);

#endif
