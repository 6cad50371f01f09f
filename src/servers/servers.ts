/** The servers that multibinder can run. */

import { UserError } from "../errors.ts";
import { genericServer } from "./generic.ts";
import { haproxy } from "./haproxy.ts";
import type { Words } from "./launch.ts";
import { nginx } from "./nginx.ts";
import { withNumbers } from "./named_sockets.ts";
import { PROFILES } from "./profiles.ts";
import type { Server, Service, ServiceOptions } from "./service.ts";

/** Every server, the one for all other programs last. */
export const SERVERS: readonly Server[] = [
  haproxy,
  nginx,
  ...PROFILES.map(genericServer),
  genericServer(),
];

/** The server that a template is for, when there is no command that says so. */
export const TEMPLATE_SERVER: Server = haproxy;

/** The options that say what multibinder does not know of a server. */
const ADJUSTMENTS = {
  check: "--check",
  stopSignal: "--stop-signal",
  killSignal: "--kill-signal",
  sign: "--ready-notify, --ready-poll, --ready-fd",
} as const satisfies Partial<Record<keyof ServiceOptions, string>>;

/**
 * Understands a command: which server it is for, and what that makes of it.
 * @param name the server's name; else the name of the program tells
 * @throws {UserError} when there is no such server, or it cannot make sense of the command
 */
export function understand(
  words: Words,
  options: ServiceOptions,
  name?: string,
  servers: readonly Server[] = SERVERS,
): Service {
  const server = name === undefined ? serverOf(words, servers) : serverNamed(name, servers);
  if (server.isAdjustable) return server.understand(words, options);
  for (const [key, option] of Object.entries(ADJUSTMENTS)) {
    if (!(key in options) || options[key as keyof ServiceOptions] === undefined) continue;
    throw new UserError(
      `${option}: multibinder knows this of ${server.name}; leave it out, or add --server generic`,
    );
  }
  return server.understand(withNumbers(words, options.named), options);
}

function serverOf([program]: Words, servers: readonly Server[]): Server {
  const name = program.slice(program.lastIndexOf("/") + 1);
  const server = servers.find((one) => one.program.test(name));
  if (server !== undefined) return server;
  throw new UserError(`${program}: no server has such a program`);
}

function serverNamed(name: string, servers: readonly Server[]): Server {
  const server = servers.find((one) => one.name === name);
  if (server !== undefined) return server;
  const known = servers.map((one) => one.name).join(", ");
  throw new UserError(`there is no server "${name}"; there are ${known}`);
}
