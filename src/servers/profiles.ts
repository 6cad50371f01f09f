/**
 * Servers that need no more than the generic way and a few lines of data, each with the page that these come from.
 * docs/servers.md says which servers were tested here.
 */

import type { SignalName } from "../../ffi/constants.ts";
import { FIRST_FD } from "../../ffi/spawn.ts";
import { numericAddress, splitAddress, toParts } from "../sockets/address.ts";
import type { NamedSocket } from "./named_sockets.ts";
import type { Sign } from "./service.ts";

/** What is known of a server. */
export interface Profile {
  name: string;
  /** What the file name of its program looks like. */
  program: RegExp;
  /** A command that runs it, with a socket named http. */
  example: string;
  /** The signals that make it stop: once its connections have ended, and at once. */
  soft?: SignalName;
  hard?: SignalName;
  /** The words of the command that checks a config, from those that run the server without its program. */
  check?: (words: readonly string[]) => readonly string[];
  /** The sign that it always gives once it is up. */
  sign?: Sign;
  /** Where its command names sockets that LISTEN_FDS has as well, it takes them twice, and fails. */
  takesTwice?: true;
  /** It may miss a soft stop while it starts, and closes its sockets when it obeys one. */
  mayMissStop?: true;
  /** Variables in which it looks for its sockets, by their descriptors. */
  variables?: (sockets: readonly NamedSocket[]) => Record<string, string>;
}

/** In the order of the help. */
export const PROFILES: readonly Profile[] = [
  // https://docs.gunicorn.org/en/stable/signals.html and deploy.html#systemd: LISTEN_FDS, READY=1 since 20.0.
  {
    name: "gunicorn",
    program: /^gunicorn/,
    example: "gunicorn app:app",
    hard: "SIGQUIT",
    check: (words) => ["--check-config", ...words],
    takesTwice: true,
    sign: "notify",
  },
  // https://www.uvicorn.org/settings/ (--fd); a second signal ends it at once (uvicorn/server.py).
  {
    name: "uvicorn",
    program: /^uvicorn/,
    example: "uvicorn --fd {http} app:app",
    hard: "SIGINT",
    sign: "poll",
  },
  // https://github.com/puma/puma/blob/master/docs/signals.md and docs/systemd.md: LISTEN_FDS.
  { name: "puma", program: /^puma/, example: "puma -C puma.rb" },
  // https://yhbt.net/unicorn/SIGNALS.html and unicorn/http_server.rb: LISTEN_FDS; QUIT is the graceful stop.
  {
    name: "unicorn",
    program: /^unicorn/,
    example: "unicorn -c unicorn.rb",
    soft: "SIGQUIT",
    hard: "SIGTERM",
    mayMissStop: true,
  },
  // https://caddyserver.com/docs/conventions#network-addresses (fd/3), READY=1 (notify_linux.go).
  {
    name: "caddy",
    program: /^caddy/,
    example: "caddy run --config Caddyfile",
    hard: "SIGQUIT",
    check: ([, ...rest]) => ["validate", ...rest],
    sign: "notify",
  },
  // https://redmine.lighttpd.net/projects/lighttpd/wiki/Server_systemd-socket-activationDetails; man lighttpd.
  {
    name: "lighttpd",
    program: /^lighttpd/,
    example: "lighttpd -D -f lighttpd.conf",
    soft: "SIGINT",
    hard: "SIGTERM",
    check: (words) => ["-tt", ...words.filter((word) => word !== "-D")],
    sign: "poll",
  },
  // https://doc.traefik.io/traefik/routing/entrypoints/#systemd-socket-activation: FDNAMES are entry points.
  {
    name: "traefik",
    program: /^traefik/,
    example: "traefik --configFile=traefik.yml",
    sign: "notify",
  },
  // https://www.pgbouncer.org/usage.html#signals (TERM waits for clients since 1.23), LISTEN_FDS, READY=1.
  {
    name: "pgbouncer",
    program: /^pgbouncer/,
    example: "pgbouncer pgbouncer.ini",
    hard: "SIGQUIT",
    sign: "notify",
  },
  // https://www.php.net/manual/en/install.fpm.configuration.php; FPM_SOCKETS: sapi/fpm/fpm/fpm_sockets.c.
  {
    name: "php-fpm",
    program: /^php-fpm/,
    example: "php-fpm --nodaemonize",
    soft: "SIGQUIT",
    hard: "SIGTERM",
    check: (words) => ["--test", ...words],
    variables: (sockets) => ({
      FPM_SOCKETS: sockets.map((one, index) => `${fpmKey(one)}=${FIRST_FD + index}`).join(","),
    }),
  },
];

/** The name by which php-fpm finds an inherited socket: its numeric address, without options. */
function fpmKey({ address }: NamedSocket): string {
  const parts = splitAddress(address);
  const numeric = numericAddress(parts);
  if (numeric?.transport === "unix") return numeric.path;
  const { address: host, port } = numeric === undefined ? parts : toParts(numeric);
  return `${host}:${port}`;
}
