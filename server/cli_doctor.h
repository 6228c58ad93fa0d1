/* cli_doctor.h - `starling doctor URL`: from here to the server step by step, and which step fails and why.
 *
 *     name ─▶ connection ─▶ TLS ─▶ /health ─▶ /health/ready ─▶ upgrade ─▶ upgrade from a browser ─▶ connect
 * ─▶ API
 *
 * Several URLs are hops to the same server, the public one first: what fails at one and not at the next is
 * the doing of what lies between them. `doctor --local` is the health check of a container: it asks the
 * server that the configuration describes whether it is ready, and says nothing where it is.
 *
 * Thread: main, before any other.   Exit codes: 0 all is well, 1 something is not, 2 wrong arguments.
 */
#ifndef STARLING_SERVER_CLI_DOCTOR_H
#define STARLING_SERVER_CLI_DOCTOR_H

/* argv[0] is the command's name. Returns an exit code. */
int cli_doctor(int argc, char **argv);

#endif
