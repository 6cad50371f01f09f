/** The sockets of a binder with those who serve them: what `ls --json` prints. */

import { ControlClient } from "../control/client.ts";
import type { AttachedWrapper, SocketReport, SocketsPage, Trouble } from "../control/reports.ts";
import { messageOf, UserError } from "../errors.ts";
import {
  list,
  natural,
  object,
  oneOf,
  orAbsent,
  orNull,
  record,
  text,
  whole,
} from "../process/shape.ts";
import { findHolders, type Holder, type Holders } from "../process/socket_holders.ts";
import { wrapperReport } from "../process/state.ts";
import { KnownGenerations } from "./known_generations.ts";

/** A process that serves a socket; what cannot be found out is null. */
export interface ServingProcess {
  pid: number;
  command: string | null;
  /** The generation's number, of a server that a wrapper has started. */
  generation: number | null;
  unit: string | null;
  container: string | null;
}

/** A socket of the list. docs/protocol.md explains each field. */
export interface ListedSocket {
  address: string;
  type: "tcp" | "udp" | "unix";
  /** Null when nobody is seen who serves it, and not everybody can be seen. */
  state: "serving" | "draining" | "unserved" | null;
  queue: number | null;
  limit: number | null;
  drops: number | null;
  mended: number;
  servedBy: readonly ServingProcess[] | null;
  lentTo: readonly { pid: number; uid: number; count: number; last: string }[];
  ageSeconds: number;
  options: SocketReport["options"];
  /** What is wrong with it, a sentence each. */
  troubles: readonly string[];
}

/** Milliseconds of work to search for those who have the sockets open. */
const MAX_SEARCH = 700;

/**
 * Asks a binder for its sockets, and looks in /proc who has them open now.
 * @param sock the binder's control socket
 * @throws {NoBinderError} {RefusedError}
 */
export async function listSockets(sock: string): Promise<ListedSocket[]> {
  using client = ControlClient.connect(sock);
  const { reports, wrappers, troubles } = await readPages(client);
  const pids = reports.flatMap(({ lentTo }) => lentTo.map(({ pid }) => pid));
  const holders = await findHolders(reports.map(({ inode }) => inode), {
    first: new Set([...pids, ...wrappers.values().map(({ pid }) => pid)]),
    skip: new Set([client.answering.pid]),
    pause: () => undefined,
    maxWork: MAX_SEARCH,
  });
  const known = new KnownGenerations([...wrappers.values()]);
  const wrongs = Map.groupBy(troubles, ({ address }) => address);
  const now = Date.now();
  return reports.map((report) => {
    const { address, type, queue, limit, drops, mended = 0, options } = report;
    return {
      address,
      type,
      ...serviceOf(report, wrappers, holders, known),
      queue,
      limit,
      drops,
      mended,
      lentTo: report.lentTo.map((one) => ({ ...one, last: new Date(one.last).toISOString() })),
      ageSeconds: Math.max(0, Math.round((now - report.since) / 1000)),
      options,
      troubles: (wrongs.get(address) ?? []).map(({ message }) => message),
    };
  });
}

interface Pages {
  reports: SocketReport[];
  wrappers: ReadonlyMap<number, AttachedWrapper>;
  troubles: readonly Trouble[];
}

async function readPages(client: ControlClient): Promise<Pages> {
  // A socket that was given up and bound again meanwhile is on two pages, of which the later one counts.
  const reports = new Map<string, SocketReport>();
  const wrappers = new Map<number, AttachedWrapper>();
  const troubles: Trouble[] = [];
  for (let from: number | null = 0; from !== null;) {
    const answer: SocketsPage = readPage(await client.call("sockets", [from]), from);
    answer.sockets.forEach((report) => reports.set(report.address, report));
    answer.wrappers?.forEach((wrapper) => wrappers.set(wrapper.id, wrapper));
    troubles.push(...answer.troubles ?? []);
    from = answer.next;
  }
  return { reports: [...reports.values()], wrappers, troubles };
}

/** Milliseconds since 1970, as far as a Date has a text for them. */
const time = whole(0, 8.64e15);

const page = object<SocketsPage>({
  sockets: list(object<SocketReport>({
    address: text(),
    type: oneOf("tcp", "udp", "unix"),
    inode: natural,
    queue: orNull(natural),
    limit: orNull(natural),
    drops: orNull(natural),
    since: natural,
    lentTo: list(object<SocketReport["lentTo"][number]>({
      pid: natural,
      uid: natural,
      count: natural,
      last: time,
    })),
    wrappers: list(natural),
    mended: orAbsent(natural),
    options: record,
  })),
  next: orNull(natural),
  wrappers: orAbsent(list(object<AttachedWrapper>({
    id: natural,
    pid: natural,
    uid: natural,
    report: orNull(wrapperReport),
  }))),
  troubles: orAbsent(list(object<Trouble>({
    address: text(),
    kind: oneOf("unserved", "queue", "drops"),
    since: natural,
    message: text(),
  }))),
});

/** @param from the number of its first socket: that of the next page's is higher, or the pages would never end */
function readPage(answer: unknown, from: number): SocketsPage {
  try {
    const found = page(answer, "");
    if (found.next === null || found.next > from) return found;
    throw new Error(`the page after ${from} is ${found.next}`);
  } catch (error) {
    throw new UserError(`the binder's answer is no list of sockets: ${messageOf(error)}`);
  }
}

/** Who serves a socket: the processes that /proc shows, or else, where it hides some, those that wrappers tell of. */
function serviceOf(
  { inode, wrappers: ids }: SocketReport,
  wrappers: ReadonlyMap<number, AttachedWrapper>,
  { byInode, complete }: Holders,
  known: KnownGenerations,
): Pick<ListedSocket, "state" | "servedBy"> {
  const found = byInode.get(inode) ?? [];
  if (found.length > 0) {
    const isOld = found.every((holder) => known.of(holder)?.isDraining);
    const servedBy = found.map((holder) => serverOf(holder, known.of(holder)?.number ?? null));
    return { state: isOld ? "draining" : "serving", servedBy };
  }
  if (complete) return { state: "unserved", servedBy: [] };
  const reported = ids.flatMap((id) => wrappers.get(id)?.report?.generations ?? [])
    .filter(({ state }) => state !== "starting");
  if (reported.length === 0) return { state: null, servedBy: null };
  const serving = reported.filter(({ state }) => state === "serving");
  return {
    state: serving.length > 0 ? "serving" : "draining",
    servedBy: (serving.length > 0 ? serving : reported).map(({ number, pid }) => {
      return { pid, command: null, generation: number, unit: null, container: null };
    }),
  };
}

function serverOf(
  { pid, command, unit, container }: Holder,
  generation: number | null,
): ServingProcess {
  return { pid, command, generation, unit, container };
}
