/** The listening sockets that a process holds: one for each address. */

import { SystemError } from "../../ffi/errno.ts";
import type { Fd } from "../../ffi/fd.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { listenSocket } from "../../ffi/socket.ts";
import { fileNumberOf } from "../../ffi/unix_diag.ts";
import {
  type Address,
  type AddressParts,
  formatAddress,
  formerMeaning,
  hasFile,
  type InternetAddress,
  overlap,
  wholeOf,
} from "./address.ts";
import { BindError, explain } from "./bind_error.ts";
import { damageOf, restore } from "./damage.ts";
import { optionsOf, setOptions } from "./kernel_options.ts";
import { insistOnFree, listen } from "./listen.ts";
import type { SocketOptions } from "./socket_options.ts";
import { type FileId, placeAt, removeIfSame } from "./place.ts";
import { closeUnlessServed, conformFile } from "./unix_path.ts";
import { discard, discardNow } from "../../ffi/discard.ts";

/** A socket held. */
export interface Held {
  address: Address;
  fd: Fd;
  /** Length of its accept queue as last asked for. */
  backlog: number;
  /** Since when it is held, in milliseconds since 1970. */
  since: number;
  /** The file of a UNIX socket, removed with it. */
  file?: FileId;
  /** How often it was found to serve nobody, and mended. */
  mended?: number;
}

/** It listens again, another one is bound in its place, or none could be. */
export type Mending = "listens" | "anew" | "gone";

/** An address to hold. */
export interface Wanted {
  address: Address;
  /** Another address that the same words meant once: its socket will do, if it is held. */
  former?: Address | undefined;
  backlog?: number;
  options?: SocketOptions;
}

/** The other parts of an address that is wanted. */
export function wantedOf(address: Address, parts: AddressParts): Wanted {
  const { backlog, options } = parts;
  return {
    address,
    former: formerMeaning(parts),
    ...(backlog !== undefined && { backlog }),
    ...(options && { options }),
  };
}

/** The sockets held, by address. */
export class Registry {
  readonly #held = new Map<string, Held>();
  readonly #waiting: (() => void)[] = [];
  /** What a batch has bound that is being bound in pieces, and the end of that. */
  readonly #fresh = new Set<Held>();
  #unfinished: Promise<void> | undefined;

  /**
   * @param defaultBacklog for a request that names none
   * @param mended told of each socket that served nobody, why, and what has become of it
   */
  constructor(
    readonly defaultBacklog: number,
    readonly mended: (held: Held, why: string, how: Mending) => void = () => {},
  ) {}

  /** Takes over a socket that is bound already. */
  add(held: Held): void {
    this.#held.set(formatAddress(held.address), held);
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }

  /** The socket held for an address. */
  find(address: Address): Held | undefined {
    return this.#held.get(formatAddress(address));
  }

  /** The socket held for an address that is wanted, also by what its words meant once. */
  findWanted({ address, former }: Wanted): Held | undefined {
    return this.find(address) ?? (former && this.find(former));
  }

  /** Whether a socket is held for an address, in its canonical form. */
  holds(text: string): boolean {
    return this.#held.has(text);
  }

  /** Waits until a socket is added, or the time is over. @param timeout milliseconds */
  changed(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeout);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /**
   * Finds or binds the sockets for addresses, all or none: what was newly bound is closed again when a
   * later one fails, since nobody would accept from it.
   * @returns one an address, in their order; the registry's
   * @throws {BindError} for the first that cannot be bound
   */
  bind(wanted: readonly Wanted[]): Held[] {
    return this.bindNew(wanted).held;
  }

  /** As {@link bind}. @returns those wanted, and which of them are new */
  bindNew(wanted: readonly Wanted[]): { held: Held[]; fresh: Set<Held> } {
    const fresh = new Set<Held>();
    try {
      return { held: wanted.map((one) => this.#findOrListen(one, fresh)), fresh };
    } catch (error) {
      fresh.forEach((held) => this.#release(formatAddress(held.address)));
      discardNow();
      throw error;
    }
  }

  /**
   * As {@link bind}, in pieces, for one batch at a time. What is newly bound is nobody else's before the last
   * one is: {@link unfinished} tells.
   * @param pause called often; what it returns is waited for
   * @returns those wanted, and which of them are new
   */
  async bindInPieces(
    wanted: readonly Wanted[],
    pause: () => Promise<void> | undefined,
  ): Promise<{ held: Held[]; fresh: Set<Held> }> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#unfinished = promise;
    const fresh = this.#fresh;
    const held: Held[] = [];
    try {
      for (const one of wanted) {
        held.push(this.#findOrListen(one, fresh));
        await pause();
      }
      return { held, fresh: new Set(fresh) };
    } catch (error) {
      for (const one of fresh) {
        this.#release(formatAddress(one.address));
        await pause();
      }
      discardNow();
      throw error;
    } finally {
      fresh.clear();
      this.#unfinished = undefined;
      resolve();
    }
  }

  /** The end of a batch that is being bound in pieces, if one of some addresses is new in that. */
  unfinished(wanted: readonly Wanted[]): Promise<void> | undefined {
    if (this.#unfinished === undefined) return undefined;
    const isNew = wanted.some((one) => {
      const held = this.findWanted(one);
      return held !== undefined && this.#fresh.has(held);
    });
    return isNew ? this.#unfinished : undefined;
  }

  #findOrListen(wanted: Wanted, fresh: Set<Held>): Held {
    const held = this.findWanted(wanted);
    if (held !== undefined) {
      this.mend(held);
      conform(held, wanted.options);
      return this.#growBacklog(held, wanted.backlog);
    }
    const added = this.#listen(wanted);
    this.#held.set(formatAddress(added.address), added);
    fresh.add(added);
    return added;
  }

  /**
   * Has a socket serve again that somebody has shut down or connected: the same one if that is possible, or
   * one that is bound anew.
   * @throws {BindError} when it is not; nothing is held for the address then
   */
  mend(held: Held): void {
    const { address, backlog } = held;
    const why = damageOf(held.fd, address);
    if (why === undefined) return;
    held.mended = (held.mended ?? 0) + 1;
    if (restore(held.fd, address, backlog)) return this.mended(held, why, "listens");
    const options = hasFile(address)
      ? permissionsAt(address.path, held.fd)
      : optionsOf(held.fd, address);
    // With it open, its name or port would be taken.
    this.release(address);
    try {
      Object.assign(held, listen(address, backlog, options));
    } catch (error) {
      this.mended(held, why, "gone");
      throw error;
    }
    this.#held.set(formatAddress(address), held);
    this.mended(held, why, "anew");
  }

  /** Whether a socket that is held serves, perhaps since it was mended just now; if not, it is held no more. */
  serves(held: Held): boolean {
    try {
      this.mend(held);
      return true;
    } catch (error) {
      if (!(error instanceof BindError)) throw error;
      return false;
    }
  }

  /** How many sockets are held. */
  get size(): number {
    return this.#held.size;
  }

  /** Every socket held, in the order in which they were bound. */
  list(): Held[] {
    return [...this.#held.values()];
  }

  /** Closes the socket held for an address, and removes the file of a UNIX socket. */
  release(address: Address): void {
    this.#release(formatAddress(address));
    discardNow();
  }

  /** Closes every socket but those given, and removes the files of UNIX sockets. */
  closeExcept(kept: ReadonlySet<Held>): void {
    for (const [key, held] of this.#held) {
      if (!kept.has(held)) this.#release(key);
    }
    discardNow();
  }

  /** Closes every socket, and removes the files of those that have one. */
  close(): void {
    this.closeExcept(new Set());
  }

  /** Closes every socket; the file of a UNIX socket stays when somebody else goes on serving that. */
  abandon(): void {
    const named: { fd: Fd; path: string; file: FileId }[] = [];
    for (const { address, fd, file } of this.#held.values()) {
      if (address.transport !== "unix") fd.close();
      else if (file) named.push({ fd, path: address.path, file });
      else discard(fd);
    }
    closeUnlessServed(named);
    discardNow();
    this.#held.clear();
  }

  #listen({ address, backlog = this.defaultBacklog, options }: Wanted): Held {
    try {
      if (address.transport !== "unix" && address.share) this.#insistOnGroup(address, options);
      return { ...listen(address, backlog, options), backlog, since: Date.now() };
    } catch (error) {
      if (!(error instanceof BindError) || error.code !== "EADDRINUSE") throw error;
      const own = this.list().find((held) => overlap(held.address, address));
      throw own === undefined ? error : overlapping(address, own.address, error);
    }
  }

  /** The kernel lets sockets that share an address be bound beside all others that do. */
  #insistOnGroup(address: InternetAddress, options: SocketOptions | undefined): void {
    const whole = formatAddress(wholeOf(address));
    const others = this.list().map((held) => held.address)
      .filter((other) => formatAddress(wholeOf(other)) === whole);
    const other = others.find((one) => overlap(one, address));
    if (other !== undefined) throw overlapping(address, other);
    // The first of them.
    if (others.length === 0) insistOnFree(address, options);
  }

  /** A longer queue serves all who share the socket; a shorter one might drop what waits. */
  #growBacklog(held: Held, backlog: number | undefined): Held {
    if (backlog !== undefined && backlog > held.backlog && held.address.transport !== "udp") {
      listenSocket(held.fd, backlog);
      held.backlog = backlog;
    }
    return held;
  }

  #release(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    this.#held.delete(key);
    // While the socket is open no other file gets the number by which its own is known.
    if (held.address.transport === "unix" && held.file) removeIfSame(held.address.path, held.file);
    // With a UNIX socket the kernel closes what lies in the queues of those who wait to be accepted.
    if (held.address.transport === "unix") discard(held.fd);
    else held.fd.close();
  }
}

/** Has a socket that is held take on options, as far as a live one can. @throws {BindError} */
export function conform(
  { fd, address, backlog }: Pick<Held, "fd" | "address" | "backlog">,
  options: SocketOptions | undefined,
): void {
  if (options === undefined) return;
  try {
    if (hasFile(address)) conformFile(fd, address.path, options);
    else setOptions(fd, address, options, backlog);
  } catch (error) {
    throw error instanceof SystemError ? explain(address, error) : error;
  }
}

function overlapping(address: Address, held: Address, cause?: unknown): BindError {
  const why = `it overlaps ${formatAddress(held)}, which is held already`;
  return new BindError(formatAddress(address), "EADDRINUSE", why, cause, true);
}

/** Who may connect to a UNIX socket, as options; none when its file is gone. */
function permissionsAt(path: string, fd: Fd): SocketOptions {
  const number = fileNumberOf(fd);
  using place = placeAt(path);
  if (place === undefined || number !== (place.info.ino ?? -1) >>> 0) return {};
  const { mode, uid, gid } = place.info;
  const permissions = { mode: ((mode ?? 0) & 0o777).toString(8) };
  // Only root gives files away. To do so it connects, and whoever accepts meets that connection.
  const isGiven = uid !== effectiveUid() || gid !== Deno.gid();
  return isGiven && effectiveUid() === 0
    ? { ...permissions, user: `${uid}`, group: `${gid}` }
    : permissions;
}
