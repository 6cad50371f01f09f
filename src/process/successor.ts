/**
 * Replacing the running program by a newer one in place: same pid, descriptors and clients kept.
 *
 * The state travels as JSON in a memfd, whose number is in an environment variable: one string of the
 * environment holds no more than 128 KiB. The new program must first prove, as a child, that it runs and
 * understands this very state: execve does not return from a file that is broken inside.
 * @module
 */

import type { SignalName } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import { Fd } from "../../ffi/fd.ts";
import { createMemfd, readOutput, readText, writeText } from "../../ffi/memfd.ts";
import { execute, sendSignal } from "../../ffi/process.ts";
import { inheritFdLimit, initialFdLimit } from "../../ffi/rlimit.ts";
import type { Children } from "./children.ts";
import { UserError } from "../errors.ts";
import { VERSION } from "../version.ts";

/**
 * Where a new program finds the number of the state's descriptor, and after a colon the soft limit on
 * descriptors that its children are to have: its own is the one that was raised for the program before.
 */
const STATE_VARIABLE = "MULTIBINDER_STATE_FD";
/** The hidden subcommand that checks a state on descriptor 3. */
const SELF_CHECK = "self-check";
/** Bytes of state at most. */
const MAX_STATE = 64 * 1024 * 1024;
/** How long a new program may take to prove itself, in milliseconds. */
const CHECK_TIMEOUT = 10_000;

/**
 * The file of this program, read once: after it is replaced, which may have happened since the start,
 * Deno's answer ends in " (deleted)". `undefined` when run from source, which has no one file to execute
 * again.
 */
const PROGRAM = Deno.build.standalone ? Deno.execPath().replace(/ \(deleted\)$/, "") : undefined;

/** The words that run this program again, compiled or from source. */
export function ownCommand(): [string, ...string[]] {
  return PROGRAM === undefined
    ? [
      Deno.execPath(),
      "run",
      "--quiet",
      "--allow-all",
      new URL("../main.ts", import.meta.url).pathname,
    ]
    : [PROGRAM];
}

/**
 * Checks that the program on disk runs and understands `state`.
 * @returns its version
 * @throws {UserError} why it does not
 */
export async function checkSuccessor(state: string, children: Children): Promise<string> {
  if (PROGRAM === undefined) {
    throw new UserError("an upgrade in place needs the compiled binary, this runs from source");
  }
  using input = createMemfd("multibinder-state");
  using output = createMemfd("multibinder-self-check");
  writeText(input, state);
  let child;
  try {
    child = children.start({
      argv: [PROGRAM, SELF_CHECK],
      env: Deno.env.toObject(),
      fds: [input],
      stdout: output,
      stderr: output,
    });
  } catch (error) {
    if (error instanceof SystemError) {
      throw new UserError(`${PROGRAM} cannot be run: ${error.message}`);
    }
    throw error;
  }
  const timer = setTimeout(() => sendSignal(child.pid, "SIGKILL"), CHECK_TIMEOUT);
  const status = await child.exited;
  clearTimeout(timer);
  const said = readOutput(output, 4096).trim();
  const version = /^multibinder (\S+) understands the state$/m.exec(said)?.[1];
  if ("code" in status && status.code === 0 && version !== undefined) return version;
  const how = "code" in status ? `exit code ${status.code}` : `signal ${status.signal}`;
  throw new UserError(`${PROGRAM} failed its self-check (${how})${said && `: ${said}`}`);
}

/**
 * Becomes the program on disk, with the arguments of this one.
 * @param state for it
 * @param keep every descriptor that it is to have
 * @param blocked signals that wait until the new program calls unblockSignals
 * @throws {SystemError} when it could not be executed; everything is as before then
 */
export function becomeSuccessor(
  state: string,
  keep: readonly Fd[],
  blocked: readonly SignalName[],
): never {
  if (PROGRAM === undefined) throw new Error("checkSuccessor comes first");
  using memfd = createMemfd("multibinder-state");
  writeText(memfd, state);
  const kept = [memfd, ...keep];
  kept.forEach((fd) => fd.closeOnExec = false);
  try {
    execute(
      PROGRAM,
      [PROGRAM, ...Deno.args],
      { ...Deno.env.toObject(), [STATE_VARIABLE]: `${memfd.number}:${initialFdLimit()}` },
      blocked,
    );
  } finally {
    kept.forEach((fd) => fd.closeOnExec = true);
  }
}

/** The state that an earlier program left, once; undefined at an ordinary start. */
export function inheritedState(): string | undefined {
  const [number, limit] = Deno.env.get(STATE_VARIABLE)?.split(":") ?? [];
  if (number === undefined) return undefined;
  Deno.env.delete(STATE_VARIABLE);
  if (limit !== undefined) inheritFdLimit(BigInt(limit));
  using memfd = new Fd(Number(number));
  return readText(memfd, MAX_STATE);
}

/** The hidden subcommand: reads the state on descriptor 3 and says whether `understand` took it. */
export function selfCheck(understand: (state: string) => void): string {
  using memfd = new Fd(3);
  understand(readText(memfd, MAX_STATE));
  return `multibinder ${VERSION} understands the state`;
}
