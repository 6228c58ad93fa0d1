/* serve.h - the server from its configuration to its end: workers, signals, drain.
 *
 *     limits and keys ─▶ make all workers ─▶ start each ─▶ ready line ─▶ wait for a signal ─▶ drain ─▶ stop
 * ─▶ free
 *
 * SIGTERM and SIGINT drain: readiness goes false, the listeners close, clients get 3001 spread over
 * shutdown.drain, and after shutdown.timeout at the latest the rest is cut. A second signal stops at once.
 *
 * SIGHUP reads the configuration again from where it came, and the certificate and the log file with it; no
 * client notices (generation.h). What cannot be read or used is refused, with a log line that says why.
 * SIGUSR1 opens the log file again, for those who rotate it.
 *
 * Thread: main.
 */
#ifndef STARLING_SERVER_SERVE_H
#define STARLING_SERVER_SERVE_H

struct config;
struct config_source;

/* Runs until told to stop. Returns the exit code: 0, or 1 when it could not start. */
int serve_run(struct config *config, const struct config_source *source);

#endif
