/** A list of sockets, for people: what is wrong first. */

import { bold, green, red, yellow } from "@std/fmt/colors";
import { describeAge } from "../duration.ts";
import { escapeControls } from "../escape.ts";
import type { ListedSocket, ServingProcess } from "./socket_list.ts";
import { type Cell, tableLines } from "./table.ts";

export const COLUMNS = [
  "ADDRESS",
  "STATE",
  "QUEUE",
  "LIMIT",
  "DROPS",
  "SERVED BY",
  "LENT TO",
  "AGE",
] as const;

/** How many servers a line names; of the others it says how many there are. */
const NAMED = 2;

const PAINTS: Readonly<Record<string, (text: string) => string>> = {
  serving: green,
  draining: yellow,
  unserved: red,
};

/** Those in trouble first, then those in which the most waits. */
export function byTrouble(sockets: readonly ListedSocket[]): ListedSocket[] {
  return sockets.toSorted((a, b) => rank(a) - rank(b) || (b.queue ?? 0) - (a.queue ?? 0));
}

/** Whether a socket is one to look at: clients wait where nobody serves, or something else is wrong with it. */
export function isInTrouble({ state, queue, troubles }: ListedSocket): boolean {
  return troubles.length > 0 || state === "unserved" && (queue ?? 0) > 0;
}

function rank({ state, queue, troubles }: ListedSocket): number {
  if (state === "unserved") return (queue ?? 0) > 0 ? 0 : 1;
  if (troubles.length > 0) return 2;
  return state === "draining" ? 3 : state === null ? 4 : 5;
}

/**
 * The lines of the table, the header's first.
 * @param now milliseconds since 1970
 * @param width columns of the terminal
 */
export function socketLines(
  sockets: readonly ListedSocket[],
  now: number = Date.now(),
  width = Infinity,
): string[] {
  // Most ages are the same few, and to put one into words takes longer than all the rest of a line.
  const words = new Map<number, string>();
  const age = (ms: number) => {
    const seconds = Math.floor(ms / 1000);
    const known = words.get(seconds) ?? describeAge(ms);
    words.set(seconds, known);
    return known;
  };
  const rows = byTrouble(sockets).map((socket) => rowOf(socket, now, age));
  const [header = "", ...lines] = tableLines(COLUMNS, rows, width);
  return [bold(header), ...lines];
}

/** What is wrong, a line each. */
export function troubleLines(sockets: readonly ListedSocket[]): string[] {
  return byTrouble(sockets).flatMap(({ troubles }) => troubles)
    .map((trouble) => red(escapeControls(trouble)));
}

type Age = (ms: number) => string;

function rowOf(socket: ListedSocket, now: number, age: Age): (Cell | string)[] {
  const { address, type, queue, limit, drops, state, servedBy, ageSeconds } = socket;
  const unit = type === "udp" ? " B" : "";
  const amount = (value: number | null) => value === null ? "-" : `${value}${unit}`;
  const isFull = queue !== null && limit !== null && queue > 0.8 * limit;
  const isWaiting = state === "unserved" && (queue ?? 0) > 0;
  return [
    escapeControls(address),
    { text: state ?? "unknown", paint: PAINTS[state ?? ""] ?? String },
    { text: amount(queue), paint: isFull || isWaiting ? red : String },
    amount(limit),
    { text: drops === null ? "-" : String(drops), paint: (drops ?? 0) > 0 ? yellow : String },
    servers(servedBy),
    lentTo(socket, now, age),
    age(ageSeconds * 1000),
  ];
}

function servers(servedBy: readonly ServingProcess[] | null): string {
  if (servedBy === null) return "unknown";
  if (servedBy.length === 0) return "nobody";
  const named = servedBy.slice(0, NAMED).map(({ pid, command, generation, unit, container }) => {
    const where = [
      generation === null ? undefined : `generation ${generation}`,
      unit ?? undefined,
      container === null ? undefined : `container ${container}`,
    ].filter((one) => one !== undefined);
    const about = where.length > 0 ? ` (${where.join(", ")})` : "";
    return escapeControls(`${command ?? "pid"} ${pid}${about}`);
  });
  return some(named, servedBy.length);
}

function lentTo({ lentTo: lent, servedBy }: ListedSocket, now: number, age: Age): string {
  const [latest] = lent;
  // Whoever serves it has it from somewhere.
  if (latest === undefined) return servedBy?.length === 0 ? "nobody" : "nobody by this binder";
  const { pid, uid, count, last } = latest;
  const who = pid === 0 ? "another container" : `pid ${pid}`;
  const when = count === 0 ? "by a binder before" : `${count}x, ${age(now - Date.parse(last))} ago`;
  return some([`${who} uid ${uid}, ${when}`], lent.length);
}

function some(named: readonly string[], count: number): string {
  const more = count - named.length;
  return `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
