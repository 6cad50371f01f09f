/**
 * Replacing the running program by a newer one in place: same pid, descriptors and clients kept.
 *
 * The state travels as JSON in a sealed memfd, since one string in the environment holds no more than 128 KiB. An
 * environment variable has the memfd's number and, after a colon, the soft limit on descriptors that children are to
 * get: the program's own was raised by the program before it. The new program must first prove, as a child, that it
 * runs and understands this very state: execve does not return from a file that is broken inside.
 * @module
 */

import type { SignalName } from "../../ffi/constants.ts";
import { SystemError } from "../../ffi/errno.ts";
import { discardNow } from "../../ffi/discard.ts";
import { Fd } from "../../ffi/fd.ts";
import {
  createMemfd,
  createSealedMemfd,
  readOutput,
  readText,
  sealingOf,
} from "../../ffi/memfd.ts";
import { effectiveUid, execute, sendSignal } from "../../ffi/process.ts";
import { inheritFdLimit, initialFdLimit } from "../../ffi/rlimit.ts";
import type { Children } from "./children.ts";
import { EXIT, UserError } from "../errors.ts";
import { insistOnIntactFile } from "./digest.ts";
import { STATE_VARIABLE, takeStateVariable } from "./own_variables.ts";
import { type CommonState, descriptorsIn } from "./state.ts";
import { VERSION } from "../version.ts";

/** The name of the state's memfd. */
const STATE_NAME = "multibinder-state";
/** The hidden subcommand that checks a state on descriptor 3. */
const SELF_CHECK = "self-check";
/** The longest state, in bytes. */
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
  leaveRemovedFolder();
  using input = createSealedMemfd(STATE_NAME, state);
  using output = createMemfd("multibinder-self-check");
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
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    sendSignal(child.pid, "SIGKILL");
  }, CHECK_TIMEOUT);
  const status = await child.exited;
  clearTimeout(timer);
  const said = readOutput(output, 4096).trim();
  const version = /^multibinder (\S+) understands the state$/m.exec(said)?.[1];
  if ("code" in status && status.code === 0 && version !== undefined) return version;
  if (isLate) {
    throw new UserError(
      `${PROGRAM} did not finish its self-check within ${CHECK_TIMEOUT / 1000} s`,
    );
  }
  const how = "code" in status ? `exit code ${status.code}` : `signal ${status.signal}`;
  throw new UserError(`${PROGRAM} failed its self-check (${how})${said && `: ${said}`}`);
}

/** Leaves a working folder that was removed: the runtime does not start there, and no relative path leads anywhere. */
function leaveRemovedFolder(): void {
  try {
    Deno.cwd();
  } catch {
    Deno.chdir("/");
  }
}

/**
 * Becomes the program on disk, with the arguments of this one.
 * @param state for it
 * @param keep every descriptor that it is to have
 * @param blocked signals that wait until the new program calls unblockSignals
 * @throws {SystemError} when it could not be executed; the descriptors are as before then
 */
export function becomeSuccessor(
  state: string,
  keep: readonly Fd[],
  blocked: readonly SignalName[],
): never {
  if (PROGRAM === undefined) throw new Error("checkSuccessor comes first");
  using memfd = createSealedMemfd(STATE_NAME, state);
  const kept = [memfd, ...keep];
  kept.forEach((fd) => fd.closeOnExec = false);
  discardNow();
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

/**
 * The state that an earlier program left, once; undefined at an ordinary start.
 *
 * Whoever starts this program decides on its environment and descriptors, so the variable alone proves
 * nothing. A state is believed when it lies in a memfd as this program makes them, sealed, and made by this
 * process's own user (who could do anything to the process anyway), and when it names this very process, whose pid
 * only an execve leaves the same. Older programs, which neither seal the memfd nor name the process, may still hand
 * over.
 * @param parse reads it
 * @throws {UserError} why it is not believed, or not whole; no descriptor of anybody else's is closed then
 */
export function inheritedState<State extends CommonState>(
  parse: (json: string) => State,
): State | undefined {
  const variable = takeStateVariable();
  if (variable === undefined) return undefined;
  const [, number, limit] = /^(\d{1,9})(?::(\d{1,20}))?$/.exec(variable) ?? [];
  if (number === undefined) throw distrust(variable, "it is set by an upgrade in place alone");
  const json = stateIn(Number(number), (why) => distrust(variable, why));
  const state = parse(json.text);
  if (state.pid !== undefined && state.pid !== Deno.pid) {
    throw distrust(variable, `it is the state of process ${state.pid}, and this is ${Deno.pid}`);
  }
  if (json.isSealed !== (state.pid !== undefined)) {
    throw distrust(variable, "its memfd is not sealed, or it does not name its process");
  }
  for (const [descriptor, at] of descriptorsIn(state)) {
    if (!isPassedOn(descriptor)) {
      throw distrust(variable, `${at} is ${descriptor}, which was not passed on`);
    }
  }
  if (limit !== undefined) inheritFdLimit(BigInt(limit));
  return state;
}

/**
 * The hidden subcommand: reads the state on descriptor 3.
 * @param understand throws when it cannot make use of the state
 * @returns a line that a foreign program would not print
 * @throws {UserError} when this program's file is damaged, or there is no state
 */
export async function selfCheck(understand: (state: string) => void): Promise<string> {
  await insistOnIntactFile();
  understand(stateIn(3, (why) => new UserError(`no state to check on descriptor 3: ${why}`)).text);
  return `multibinder ${VERSION} understands the state`;
}

/** Reads and closes the memfd of a state. @param error makes an error for any other descriptor, which is left alone */
function stateIn(
  number: number,
  error: (why: string) => UserError,
): { text: string; isSealed: boolean } {
  const sealing = sealingOf(number);
  if (sealing === undefined) throw error(`descriptor ${number} is no memfd`);
  // The name that the link shows says how it was made, and the owner of the file by whom.
  const link = `/proc/self/fd/${number}`;
  const name = Deno.readLinkSync(link);
  const { uid } = Deno.statSync(link);
  if (name !== `/memfd:${STATE_NAME} (deleted)` || sealing === "other") {
    throw error(`descriptor ${number} is not the memfd of an upgrade`);
  }
  if (uid !== effectiveUid()) throw error(`uid ${uid} made it, not the user of this process`);
  using memfd = new Fd(number);
  return { text: readText(memfd, MAX_STATE), isSealed: sealing === "sealed" };
}

function distrust(variable: string, why: string): UserError {
  const shown = JSON.stringify(variable.slice(0, 40));
  return new UserError(
    `the environment has ${STATE_VARIABLE}=${shown}, which is not believed: ${why}; unset it`,
    { exitCode: EXIT.usage },
  );
}

/** Whether a descriptor came through the execve: those that the runtime has opened since are close-on-exec. */
function isPassedOn(number: number): boolean {
  try {
    return !new Fd(number).closeOnExec;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}
