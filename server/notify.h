/* notify.h - tells the service manager how we are (sd_notify protocol): one datagram to $NOTIFY_SOCKET,
 * nothing where it is not set. Thread: main. */
#ifndef STARLING_SERVER_NOTIFY_H
#define STARLING_SERVER_NOTIFY_H

void notify_ready(void);
/* Until the next notify_ready(): systemd waits for it after `systemctl reload`. */
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);

#endif
