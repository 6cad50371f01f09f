/**
 * multibinder as a library: get listening sockets from a binder.
 *
 * ```ts
 * import { bind } from "@multibinder/multibinder";
 *
 * using socket = await bind("127.0.0.1:8000");
 * // It is inherited: site.cfg has `bind "fd@${SOCKET}"`.
 * const env = { SOCKET: String(socket.fd) };
 * const server = new Deno.Command("haproxy", { args: ["-db", "-f", "site.cfg"], env }).spawn();
 * await server.status;
 * ```
 *
 * It needs Linux with glibc, and the permissions `--allow-ffi` and, for the default control socket,
 * `--allow-env=MULTIBINDER_SOCK,MULTIBINDER_BINDER_UID`.
 * @module
 */

export {
  bind,
  bindAll,
  type BindOptions,
  listen,
  ListeningSocket,
  NoBinderError,
  parseAddresses,
  RefusedError,
  UserError,
} from "./src/library.ts";
export { SystemError } from "./ffi/errno.ts";
