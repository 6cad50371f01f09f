/** What systemd tells a service in its environment, and nobody else. */

/** Variables for the process that systemd started: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). */
const OWN = /^(NOTIFY_SOCKET|WATCHDOG_(USEC|PID)|LISTEN_(PID|FDS|FDNAMES|PIDFDID)|FDSTORE)$/;

/** An environment for a child, which must not speak to systemd in our place. */
export function withoutServiceVariables(
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !OWN.test(name)));
}
