/** Why a listening socket cannot be had, in words that say what to do. */

import type { SystemError } from "../../ffi/errno.ts";
import { UserError } from "../errors.ts";
import { type Address, formatAddress, hasFile, type InternetAddress } from "./address.ts";
import { portHolder } from "./port_holder.ts";
import { isSocket, whyTaken } from "./unix_path.ts";

/** Milliseconds that searches for the holders of ports may take in one go, and their share of all time. */
const MAX_SEARCH = 2000;
const SEARCH_SHARE = 0.1;

/** A socket could not be bound. */
export class BindError extends UserError {
  override readonly name = "BindError";

  /**
   * An address and why it cannot be had.
   * @param code errno's name
   * @param lasts whether it is no use to wait until a client hands the address back
   * @param wanted the address; undefined when there is nobody to look for who has it
   */
  constructor(
    readonly address: string,
    readonly code: string,
    why: string,
    cause: unknown,
    readonly lasts = false,
    readonly wanted?: Address,
  ) {
    super(`${address}: ${why} (${code})`, { cause });
  }
}

/** The error of a system call that was to bind a socket. */
export function explain(address: Address, error: SystemError): BindError {
  const { code } = error;
  const why = reason(address, error) ?? error.message.replace(` (${code})`, "");
  const lasts = hasFile(address) && code === "EADDRINUSE" && !isSocket(address.path);
  return new BindError(formatAddress(address), code, why, error, lasts, address);
}

/** `credit`: milliseconds that searches may still take, as of the time `at`. `last`: the last search. */
const search = { credit: MAX_SEARCH, at: 0, last: Promise.resolve<unknown>(undefined) };

/**
 * Adds to the error of an address in use who holds it, unless there were too many such searches: one looks at
 * every descriptor of the machine, and clients that ask for such ports all the time must not keep this
 * process from everything else.
 * @param pause called often; what it returns is waited for
 */
export async function namingHolder(
  error: BindError,
  pause?: () => Promise<void> | undefined,
): Promise<BindError> {
  const { code, lasts, wanted } = error;
  if (code !== "EADDRINUSE" || lasts || wanted === undefined) return error;
  const why = wanted.transport === "unix"
    ? hasFile(wanted) ? whyTaken(wanted.path) : undefined
    : await holderOf(wanted, pause);
  return why === undefined ? error : new BindError(error.address, code, why, error.cause);
}

async function holderOf(
  wanted: InternetAddress,
  pause?: () => Promise<void> | undefined,
): Promise<string | undefined> {
  // One at a time: each search goes by the time that those before it have left.
  const found = search.last.then(() => searchFor(wanted, pause));
  search.last = found.catch(() => {});
  return await found;
}

async function searchFor(
  wanted: InternetAddress,
  pause?: () => Promise<void> | undefined,
): Promise<string | undefined> {
  const start = performance.now();
  search.credit = Math.min(MAX_SEARCH, search.credit + SEARCH_SHARE * (start - search.at));
  search.at = start;
  if (search.credit <= 0) return undefined;
  const holder = await portHolder(wanted, pause);
  search.credit -= performance.now() - start;
  return holder && `the address is in use by ${holder.command} (pid ${holder.pid})`;
}

/** The reason in better words than the kernel's, if there are any. */
function reason(address: Address, error: SystemError): string | undefined {
  if (hasFile(address)) return reasonAtPath(address.path, error);
  if (address.transport === "unix") {
    return error.code === "EADDRINUSE" ? "another process has that name" : undefined;
  }
  switch (error.code) {
    case "EADDRINUSE":
      return "the address is in use";
    case "EADDRNOTAVAIL":
      return "this machine has no such address; `ip address` lists its own";
    case "EACCES":
      return "a port this low needs root, CAP_NET_BIND_SERVICE, or a lower " +
        "net.ipv4.ip_unprivileged_port_start";
    case "EINVAL":
      if (/^fe[89ab].:[^%]*$/.test(address.host)) {
        return `a link-local address needs its interface, as in [${address.host}%eth0]`;
      }
      if (address.host.startsWith("::ffff:")) {
        return `write it as the IPv4 address, ${address.host.slice("::ffff:".length)}`;
      }
  }
  return undefined;
}

function reasonAtPath(path: string, error: SystemError): string | undefined {
  switch (error.code) {
    case "EADDRINUSE":
      return isSocket(path) ? "the address is in use" : whyTaken(path);
    case "EACCES":
      return "no permission to create the socket in that folder";
    case "ENOENT":
      return "its folder does not exist";
    case "EPERM":
      return "only root can give a file to another user or group";
    case "EAGAIN":
      return error.syscall === "flock" ? "another program is just being started there" : undefined;
  }
  return undefined;
}
