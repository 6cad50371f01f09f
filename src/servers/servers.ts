/** The servers that multibinder can run. */

import { UserError } from "../errors.ts";
import { haproxy } from "./haproxy.ts";
import type { Words } from "./launch.ts";
import type { Server, Service } from "./service.ts";

/** Every server, a line each. */
export const SERVERS: readonly Server[] = [
  haproxy,
];

/** The server that a template is for, when there is no command that says so. */
export const TEMPLATE_SERVER: Server = haproxy;

/**
 * Understands a command: which server it is for, by its program's name, and what that makes of it.
 * @throws {UserError} when no server has such a program, or the server cannot make sense of the command
 */
export function understand(words: Words, servers: readonly Server[] = SERVERS): Service {
  const [program] = words;
  const name = program.slice(program.lastIndexOf("/") + 1);
  const server = servers.find((one) => one.program.test(name));
  if (server !== undefined) return server.understand(words);
  const known = servers.map((one) => one.name).join(", ");
  const [first] = servers;
  const example = first === undefined ? "" : `, as in \`multibinder exec -- ${first.example}\``;
  throw new UserError(
    `${program}: multibinder exec does not know this server; it can run ${known}${example}`,
  );
}
