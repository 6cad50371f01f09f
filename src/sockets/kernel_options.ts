/**
 * The options of a socket, as the kernel has them. It keeps them as long as the socket, whoever has a copy:
 * nothing else remembers them, and no state or store has to carry them.
 */

import {
  IP_FREEBIND,
  IP_TRANSPARENT,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  IPV6_FREEBIND,
  IPV6_TRANSPARENT,
  SO_MARK,
  SO_PROTOCOL,
  SO_REUSEPORT,
  SOL_SOCKET,
  TCP_DEFER_ACCEPT,
  TCP_FASTOPEN,
  TCP_MAXSEG,
} from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { getOption, setOption } from "../../ffi/socket.ts";
import { type Address, formatAddress } from "./address.ts";
import { BindError } from "./bind_error.ts";
import type { OptionName, OptionValue, SocketOptions } from "./socket_options.ts";

type Place = readonly [level: number, name: number];

interface Setting {
  /** Its level and name for IPv4; and for IPv6, alone or with IPv4. */
  places: readonly [inet: Place, inet6: Place];
  /** The number to set. @param backlog of the socket */
  toKernel: (value: OptionValue, backlog: number) => number;
  /** The option's value from the kernel's number; undefined when it is not set. */
  fromKernel: (found: number) => OptionValue | undefined;
}

/** Seconds that a client may take to send something, as HAProxy sets it (sock_inet.c, tcp_bind_listener). */
const DEFER_SECONDS = 60;
/** The kernel's number for a listening socket whose largest segment nobody has set: TCP_MSS_DEFAULT. */
const DEFAULT_MSS = 536;

/** In the order in which they are set. */
const SETTINGS = {
  transparent: flag([IPPROTO_IP, IP_TRANSPARENT], [IPPROTO_IPV6, IPV6_TRANSPARENT]),
  freebind: flag([IPPROTO_IP, IP_FREEBIND], [IPPROTO_IPV6, IPV6_FREEBIND]),
  mark: { ...number([SOL_SOCKET, SO_MARK]), fromKernel: (found) => found >>> 0 || undefined },
  mss: {
    ...number([IPPROTO_TCP, TCP_MAXSEG]),
    fromKernel: (found) => found === DEFAULT_MSS ? undefined : found,
  },
  "defer-accept": { ...flag([IPPROTO_TCP, TCP_DEFER_ACCEPT]), toKernel: () => DEFER_SECONDS },
  tfo: { ...flag([IPPROTO_TCP, TCP_FASTOPEN]), toKernel: (_, backlog) => Math.max(1, backlog) },
} satisfies Partial<Record<OptionName, Setting>>;

type SettingName = keyof typeof SETTINGS;
const NAMES = Object.keys(SETTINGS) as SettingName[];
const UDP_NAMES: readonly SettingName[] = ["transparent", "freebind", "mark"];

/** The options of a socket, but for those that are part of its address or its file. */
export function optionsOf(fd: Fd, address: Address): SocketOptions {
  if (address.transport === "unix") return {};
  const names = address.transport === "udp" ? UDP_NAMES : NAMES;
  const found = names.map((name) => [name, valueOf(fd, address, name)] as const);
  return {
    ...Object.fromEntries(found.filter(([, value]) => value !== undefined)),
    ...(isMptcp(fd) && { mptcp: true }),
  };
}

const known = new WeakMap<Fd, { options: SocketOptions; at: number }>();
/** Milliseconds for which options that were read are not read again, unless this process sets one. */
const FRESH = 60_000;

/**
 * As {@link optionsOf}, for those who look at thousands of sockets: each option is a system call, and whoever shares a
 * socket seldom sets one.
 */
export function recentOptionsOf(fd: Fd, address: Address): SocketOptions {
  const now = performance.now();
  let entry = known.get(fd);
  if (entry === undefined || now - entry.at > FRESH) {
    known.set(fd, entry = { options: optionsOf(fd, address), at: now });
  }
  return entry.options;
}

/** The first of the given options that a socket lacks. */
export function lackingOption(
  fd: Fd,
  address: Address,
  options: SocketOptions,
): OptionName | undefined {
  if (options.mptcp && !isMptcp(fd)) return "mptcp";
  if (options.reuseport && getOption(fd, SOL_SOCKET, SO_REUSEPORT) === 0) return "reuseport";
  return NAMES.find((name) =>
    options[name] !== undefined && valueOf(fd, address, name) !== options[name]
  );
}

/**
 * Gives a socket those of the given options that it lacks.
 * @throws {BindError} naming one that it cannot have, or that the kernel refuses
 */
export function setOptions(
  fd: Fd,
  address: Address,
  options: SocketOptions,
  backlog: number,
): void {
  if (options.mptcp && !isMptcp(fd)) {
    const why = "it is held without mptcp, which no socket becomes afterwards; " +
      "have it given up first (multibinder unbind), or leave mptcp out";
    throw new BindError(formatAddress(address), "EBUSY", why, undefined, true);
  }
  known.delete(fd);
  for (const name of NAMES) {
    const value = options[name];
    if (value === undefined || valueOf(fd, address, name) === value) continue;
    try {
      const { toKernel }: Setting = SETTINGS[name];
      setOption(fd, ...placeOf(name, address), toKernel(value, backlog));
    } catch (error) {
      throw error instanceof SystemError ? optionRefused(address, name, value, error) : error;
    }
  }
}

/** The error for an option that the kernel refuses. */
export function optionRefused(
  address: Address,
  name: OptionName,
  value: OptionValue,
  error: SystemError,
): BindError {
  const reasons: Record<string, string> = {
    EPERM: "that needs root, or CAP_NET_ADMIN of this network namespace",
    ENOPROTOOPT: "this kernel does not have it",
    EPROTONOSUPPORT: "this kernel does not have it",
    ENODEV: "there is no such network interface",
    EINVAL: "it cannot have that value",
  };
  const shown = value === true ? name : `${name}=${value}`;
  const why = `the kernel refuses ${shown}: ${reasons[error.code] ?? error.message}`;
  return new BindError(formatAddress(address), error.code, why, error, true);
}

function valueOf(fd: Fd, address: Address, name: SettingName): OptionValue | undefined {
  const { fromKernel }: Setting = SETTINGS[name];
  try {
    return fromKernel(getOption(fd, ...placeOf(name, address)));
  } catch (error) {
    // This kernel does not have the option, and will refuse to set it.
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function placeOf(name: SettingName, address: Address): Place {
  const [inet, inet6] = SETTINGS[name].places;
  return address.transport !== "unix" && address.family === "inet" ? inet : inet6;
}

function isMptcp(fd: Fd): boolean {
  return getOption(fd, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_MPTCP;
}

function flag(inet: Place, inet6: Place = inet): Setting {
  return {
    places: [inet, inet6],
    toKernel: () => 1,
    fromKernel: (found) => found > 0 ? true : undefined,
  };
}

function number(place: Place): Setting {
  return { places: [place, place], toKernel: Number, fromKernel: (found) => found };
}
