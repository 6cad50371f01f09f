/**
 * What a role needs of the limits that it is started with (setrlimit(2)). With less, the runtime cannot make
 * its threads and descriptors, and panics where nothing of this program could catch it.
 * @module
 */

import { UserError } from "../errors.ts";

/** Descriptors: an idle binder has 20, a server that it starts some more. */
const OPEN_FILES = 64;

/** Processes and threads of the user: a wrapper has 7 and starts its server, twice during a reload. */
const PROCESSES = 16;

/**
 * Tells why the limits are too low for a role.
 * @param read gives /proc/self/limits (proc(5)), by line: a name, the soft and the hard limit, a unit
 * @param isRoot for root, the limit on processes does not count
 * @returns undefined when they are high enough
 */
export function lackOf(read: () => string, isRoot: boolean): UserError | undefined {
  let limits: string;
  try {
    limits = read();
  } catch (error) {
    // Without /proc, or the right to read it, nothing is known, and the start goes on. Without a free descriptor
    // for the file, the runtime would fail next.
    const isTooFew = error instanceof Error && /os error 24/.test(error.message);
    return isTooFew ? tooFewFiles("almost none is left") : undefined;
  }
  // The soft limit on open files is raised to the hard one.
  const files = numberAfter(limits, /^Max open files +\S+ +(\d+)/m);
  if (files < OPEN_FILES) return tooFewFiles(`it is ${files}`);
  const processes = numberAfter(limits, /^Max processes +(\d+)/m);
  if (processes < PROCESSES && !isRoot) {
    return new UserError(
      `the limit of processes and threads is too low: it is ${processes}, and multibinder needs ` +
        `${PROCESSES}; ` +
        "raise it with ulimit -u or LimitNPROC=",
    );
  }
  return undefined;
}

function tooFewFiles(found: string): UserError {
  return new UserError(
    `the limit of open files is too low: ${found}, and multibinder needs ${OPEN_FILES}; ` +
      "raise it with ulimit -n or LimitNOFILE=",
  );
}

/** Infinity for "unlimited", too. */
function numberAfter(limits: string, pattern: RegExp): number {
  return Number(pattern.exec(limits)?.[1] ?? Infinity);
}
