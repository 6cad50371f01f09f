/**
 * What a binder reports of its sockets, and a wrapper of its generations: the answers of `sockets`, and the
 * params of `report`. docs/protocol.md explains each field. Members are added over time, never renamed.
 */

/** A generation of a wrapper's server. */
export interface GenerationReport {
  number: number;
  /** As the wrapper sees it. */
  pid: number;
  state: "starting" | "serving" | "draining";
}

/** What a wrapper reports of itself to its binder. */
export interface WrapperReport {
  /** Its service: what a next wrapper of the same has as well, such as the path of the config. */
  service: string;
  /** Its own pid, as it sees it. */
  self: number;
  /** Its control socket: a path, or `@` and a name in the abstract namespace; null, or absent, for none. */
  control?: string | null;
  generations: readonly GenerationReport[];
  lastReload: { at: string; ok: boolean; message: string } | null;
}

/** A wrapper that is connected to a binder. */
export interface AttachedWrapper {
  /** Names it in {@link SocketReport.wrappers}. */
  id: number;
  /** As the binder sees it; 0 for one in a container that it cannot see into. */
  pid: number;
  uid: number;
  /** What it has reported of itself; null for an older wrapper, which reports nothing. */
  report: WrapperReport | null;
}

/** What is wrong with a socket, in a sentence. */
export interface Trouble {
  address: string;
  kind: "unserved" | "queue" | "drops";
  /** Since when, in milliseconds since 1970. */
  since: number;
  message: string;
}

/** A socket that a binder holds. */
export interface SocketReport {
  address: string;
  type: "tcp" | "udp" | "unix";
  inode: number;
  queue: number | null;
  limit: number | null;
  drops: number | null;
  /** Since when it is held, in milliseconds since 1970. */
  since: number;
  lentTo: readonly { pid: number; uid: number; count: number; last: number }[];
  /** The wrappers that have it, by their ids. */
  wrappers: readonly number[];
  /** How often it was found to serve nobody, and mended. */
  mended?: number;
  options: Readonly<Record<string, string | number | boolean>>;
}

/** Some of a binder's sockets. */
export interface SocketsPage {
  sockets: readonly SocketReport[];
  /** Where the next page begins; null after the last one. */
  next: number | null;
  /** With the first page alone. */
  wrappers?: readonly AttachedWrapper[];
  troubles?: readonly Trouble[];
}
