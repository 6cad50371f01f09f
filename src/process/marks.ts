/**
 * What marks a process as a generation that a wrapper has started, read from outside: its environment, or the
 * file of marks that it has open if it has overwritten that.
 *
 * Anyone can start a process with such marks. Whether they can be believed, {@link isExecutedBy} tells.
 * @module
 */

import { openForReading } from "../../ffi/file.ts";
import { readOutput, sealingOf } from "../../ffi/memfd.ts";
import { isExecutedBy } from "./origin.ts";
import { MARKS, MARKS_FILE } from "./own_variables.ts";

/** The longest file of marks that is read, in bytes. */
const MAX_TEXT = 16_384;

/**
 * The variables that mark a generation of this wrapper.
 * @param generation its number
 * @param lent how many sockets it is given
 */
export function marksFor(
  service: string,
  generation: number,
  lent: number,
): Record<string, string> {
  return {
    [MARKS.service]: service,
    [MARKS.wrapper]: String(Deno.pid),
    [MARKS.generation]: String(generation),
    [MARKS.sockets]: String(lent),
  };
}

/** The marks of a process. */
export interface Marks {
  service: string;
  /** The pid of its wrapper, in that one's PID namespace. */
  wrapper: number;
  /** The generation's number; null when it has none. */
  generation: number | null;
  /** How many sockets it says that it was lent: its descriptors from 3 on. */
  lent: number;
}

/**
 * Reads the marks of a process.
 * @param trusted the users whose programs are believed
 * @returns undefined when it has none, or they cannot be read, as it has ended or is another user's
 */
export function marksOf(pid: number, trusted: readonly number[]): Marks | undefined {
  try {
    // Asked first: a stranger's environment may be megabytes long, and he may have thousands of processes.
    if (!isExecutedBy(trusted, pid)) return undefined;
    return marksIn(variablesOf(pid, trusted));
  } catch {
    return undefined;
  }
}

/** The marks among the variables of an environment; undefined when there are none. */
export function marksIn(variables: readonly string[]): Marks | undefined {
  const service = valueOf(MARKS.service, variables);
  // Older wrappers have put the time of their start behind the pid, and did not number generations.
  const wrapper = /^\d+/.exec(valueOf(MARKS.wrapper, variables))?.[0];
  if (service === "" || wrapper === undefined) return undefined;
  return {
    service,
    wrapper: Number(wrapper),
    generation: Number(valueOf(MARKS.generation, variables)) || null,
    lent: Number(valueOf(MARKS.sockets, variables)) || 0,
  };
}

/**
 * How many sockets a generation says that it was lent.
 * @param trusted as {@link marksOf}
 * @returns undefined where that may not be read
 */
export function lentTo(pid: number, trusted: readonly number[]): number | undefined {
  try {
    return Number(valueOf(MARKS.sockets, variablesOf(pid, trusted))) || 0;
  } catch (error) {
    // It has ended, and has none any more.
    return error instanceof Deno.errors.NotFound ? 0 : undefined;
  }
}

function variablesOf(pid: number, trusted: readonly number[]): string[] {
  const environment = Deno.readTextFileSync(`/proc/${pid}/environ`);
  const isWhole = /^[A-Za-z_]\w*=/.test(environment);
  return ((isWhole ? undefined : marksFileOf(pid, trusted)) ?? environment).split("\0");
}

/** The text of the file of marks that a process has open; undefined when it has none, or is not trusted. */
function marksFileOf(pid: number, trusted: readonly number[]): string | undefined {
  if (!isExecutedBy(trusted, pid)) return undefined;
  const paths = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
    `/proc/${pid}/fd/${name}`
  );
  const path = paths.find((one) => Deno.readLinkSync(one) === `/memfd:${MARKS_FILE} (deleted)`);
  return path && textOf(path);
}

/** The text of a file in memory. By its name it could be any file: only one that nobody can change is read. */
function textOf(path: string): string | undefined {
  using file = openForReading(path);
  return sealingOf(file.number) === "sealed" ? readOutput(file, MAX_TEXT) : undefined;
}

function valueOf(name: string, variables: readonly string[]): string {
  return variables.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
}
