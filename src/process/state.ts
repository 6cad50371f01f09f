/**
 * What a program hands to its successor, as far as both roles have it in common.
 *
 * The rule for change: a state has a version, and a program reads its own and every older one. Within a
 * version fields may be added, if they are optional, a program that does not know them may leave them out,
 * and one that knows them does without; whatever else changes is a new version. So a newer program can
 * succeed an older one, and the other way round as long as the version is the same. A field that is
 * malformed, or absent and not optional, is refused by the self-check, while the old program still serves.
 * @module
 */

import type { ConnectionState } from "../control/connection_state.ts";
import type { MetricsSocketState } from "../control/metrics_socket.ts";
import type { GenerationReport, WrapperReport } from "../control/reports.ts";
import { messageOf, UserError } from "../errors.ts";
import {
  list,
  natural,
  object,
  oneOf,
  orAbsent,
  orNull,
  type Shape,
  ShapeError,
  text,
  truth,
  whole,
} from "./shape.ts";

/** A control socket: its descriptor, and its file. */
export interface ControlState {
  fd: number;
  path: string;
  file: FileState;
}

interface FileState {
  device: number;
  inode: number;
}

/** What the states of both roles have. Numbers named `fd` are descriptors that stay open across the execve. */
export interface CommonState {
  version: number;
  /** The process that this state is for; absent in the states of older programs, which did not check it. */
  pid?: number;
  clients: ConnectionState[];
  upgrades: number;
  /** When the first of these programs was started, in milliseconds since 1970. */
  started: number;
  /** The version of the program that hands over. */
  from: string;
}

/** 0, 1 and 2 are never handed over; the kernel's fs.nr_open is a C int. */
export const descriptor = whole(3, 2 ** 31 - 1);
export const pid = whole(1, 2 ** 31 - 1);
export const path = text("a path without a NUL", (one) => one !== "" && !one.includes("\0"));

/** -1 is the file of a socket that systemd passed, which is not ours to remove. */
const fileNumber = whole(-1, Number.MAX_SAFE_INTEGER);
export const fileShape = object<FileState>({ device: fileNumber, inode: fileNumber });

export const controlShape = object<ControlState>({ fd: descriptor, path, file: fileShape });

export const metricsShape = object<MetricsSocketState>({
  fd: descriptor,
  path: orAbsent(path),
  file: orAbsent(fileShape),
});

const requestId: Shape<string | number | null> = (value, at) => {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  throw new ShapeError(at, "a text, a number or null", value);
};

/** The most generations that a wrapper may tell of: more than it would let drain at once. */
const MAX_GENERATIONS = 1000;

/** A text that a wrapper tells. */
const short = text("a text of at most 4096 characters", (one) => one.length <= 4096);

/** What a wrapper tells of itself. */
export const wrapperReport = object<WrapperReport>({
  service: short,
  self: pid,
  control: orAbsent(orNull(short)),
  generations: list(
    object<GenerationReport>({
      number: natural,
      pid,
      state: oneOf("starting", "serving", "draining"),
    }),
    MAX_GENERATIONS,
  ),
  lastReload: orNull(object<NonNullable<WrapperReport["lastReload"]>>({
    at: short,
    ok: truth,
    message: short,
  })),
});

const connectionShape = object<ConnectionState>({
  fd: descriptor,
  pending: text("bytes in base64", isBase64),
  holds: orAbsent(list(text())),
  about: orAbsent(wrapperReport),
  owed: orAbsent(requestId),
});

/** A shape for each field that both roles have. */
export const COMMON: { [Name in keyof CommonState]-?: Shape<CommonState[Name]> } = {
  version: natural,
  pid: orAbsent(pid),
  clients: list(connectionShape),
  upgrades: natural,
  started: natural,
  from: text(),
};

/**
 * Reads the state of a role.
 * @param newest the newest version that this program knows
 * @throws {UserError} when something in it is missing, malformed or misplaced, or it is another role's or too new
 */
export function parseRoleState<State extends CommonState & { role: string }>(
  json: string,
  role: State["role"],
  newest: number,
  shape: Shape<State>,
): State {
  try {
    const value: unknown = JSON.parse(json);
    const head = object<{ role: string; version: number }>({
      role: oneOf(role),
      version: natural,
    })(value, "");
    if (head.version > newest) {
      throw new Error(`it has format ${head.version}, and this program knows up to ${newest}`);
    }
    const state = shape(value, "");
    descriptorsIn(state);
    return state;
  } catch (error) {
    throw new UserError(`cannot read the state of the ${role} before: ${messageOf(error)}`);
  }
}

/** The role whose state it is, as far as that can be told. */
export function roleOf(json: string): unknown {
  try {
    return JSON.parse(json)?.role;
  } catch {
    return undefined;
  }
}

/**
 * The descriptors that a state names, and where.
 * @throws {Error} for one that is named twice: of two owners, one would close it while the other uses it
 */
export function descriptorsIn(state: object): Map<number, string> {
  const found = new Map<number, string>();
  const look = (value: unknown, at: string) => {
    if (typeof value !== "object" || value === null) return;
    for (const [name, one] of Object.entries(value)) {
      const where = Array.isArray(value) ? `${at}[${name}]` : at === "" ? name : `${at}.${name}`;
      if (name !== "fd" || typeof one !== "number") {
        look(one, where);
        continue;
      }
      const other = found.get(one);
      if (other !== undefined) throw new Error(`${where} is ${one}, as ${other} is`);
      found.set(one, where);
    }
  };
  look(state, "");
  return found;
}

function isBase64(one: string): boolean {
  try {
    atob(one);
    return true;
  } catch {
    return false;
  }
}
