/**
 * multibinder as a library: get listening sockets from a binder.
 *
 * ```ts
 * import { bind } from "@multibinder/multibinder";
 *
 * using socket = await bind("127.0.0.1:8007"); // from the binder at MULTIBINDER_SOCK
 * // A program that is started here inherits it: a config of HAProxy has `bind "fd@${SOCKET}"`.
 * const env = { SOCKET: String(socket.fd) };
 * await new Deno.Command("sh", { args: ["-c", "ls -l /proc/self/fd/$SOCKET"], env }).spawn().status;
 * ```
 *
 * It needs Linux with glibc, and the permissions `--allow-ffi` and, for the default control socket,
 * `--allow-env=MULTIBINDER_SOCK,MULTIBINDER_BINDER_UID`.
 * @module
 */

export {
  type Address,
  bind,
  bindAll,
  Binder,
  type BindOptions,
  type ConnectOptions,
  formatAddress,
  type InternetAddress,
  listen,
  ListeningSocket,
  NoBinderError,
  parseAddress,
  parseAddresses,
  RefusedError,
  type SocketOptions,
  type UnixAddress,
  UserError,
} from "./src/library.ts";
export { SystemError } from "./ffi/errno.ts";
