/** Starting a program with exactly the descriptors it is meant to have. */

import { checkReturned } from "./errno.ts";
import { POSIX_SPAWN_SETSID, POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK } from "./constants.ts";
import type { Fd } from "./fd.ts";
import { LAYOUT } from "./layout.ts";
import { libc } from "./libc.ts";
import { cString, StringArray, Struct } from "./memory.ts";
import { withSoftFdLimit } from "./rlimit.ts";

/** How many descriptors a child can open at least beside those it is given: its loader and its files need some. */
const SPARE_FDS = 256;

/** The child's number for the first descriptor that it is given beyond its standard ones. */
export const FIRST_FD = 3;

/** What to start. */
export interface SpawnOptions {
  /** The program and its arguments; a name without a slash is looked for in PATH. */
  argv: readonly [string, ...string[]];
  env: Readonly<Record<string, string>>;
  /** `fds[0]` becomes descriptor 3 of the child, `fds[1]` 4, and so on. */
  fds?: readonly Fd[];
  /** Descriptors for 0, 1 and 2; ours when absent. */
  stdin?: Fd;
  stdout?: Fd;
  stderr?: Fd;
}

/**
 * Starts a program. It has
 * - a session of its own, where no signal of a terminal reaches it, and none of job control (SIGTTOU) stops it;
 * - every signal unblocked and at its default action;
 * - the descriptors 0, 1, 2 and those given, and no other;
 * - the soft limit on descriptors that we were started with, or more where that would leave it fewer than 256 to
 *   open.
 * @returns its pid; reap it with waitpid
 * @throws {SystemError} ENOENT, EACCES, ENOEXEC from the execve in the child; EAGAIN, ENOMEM
 */
export function spawn(options: SpawnOptions): number {
  const fds = options.fds ?? [];
  const end = FIRST_FD + fds.length;
  const actions = new Struct(LAYOUT.posix_spawn_file_actions_t.size).bytes;
  const attributes = new Struct(LAYOUT.posix_spawnattr_t.size).bytes;
  const moved: Fd[] = [];
  const symbols = libc();
  checkReturned("posix_spawn_file_actions_init", symbols.posix_spawn_file_actions_init(actions));
  checkReturned("posix_spawnattr_init", symbols.posix_spawnattr_init(attributes));
  try {
    // The child's numbers are filled upwards, 0 to 2 first. A source whose own number is filled before its turn
    // would be overwritten by then, and is moved out of the way.
    const add = (fd: Fd, target: number, filled: number) => {
      let source = fd;
      if (fd.number < filled) moved.push(source = fd.duplicate(end));
      checkReturned(
        "posix_spawn_file_actions_adddup2",
        symbols.posix_spawn_file_actions_adddup2(actions, source.number, target),
      );
    };
    [options.stdin, options.stdout, options.stderr].forEach((fd, target) =>
      fd && add(fd, target, target)
    );
    fds.forEach((fd, index) => add(fd, FIRST_FD + index, FIRST_FD + index));
    checkReturned(
      "posix_spawn_file_actions_addclosefrom_np",
      symbols.posix_spawn_file_actions_addclosefrom_np(actions, end),
    );
    setAttributes(attributes);
    const argv = new StringArray(options.argv);
    const env = new StringArray(
      Object.entries(options.env).map(([key, value]) => `${key}=${value}`),
    );
    const file = cString(options.argv[0]);
    const pid = new Int32Array(1);
    withSoftFdLimit(end + SPARE_FDS, () => {
      checkReturned(
        options.argv[0],
        symbols.posix_spawnp(pid, file, actions, attributes, argv.pointers, env.pointers),
      );
    });
    return pid[0] ?? -1;
  } finally {
    moved.forEach((fd) => fd.close());
    symbols.posix_spawn_file_actions_destroy(actions);
    symbols.posix_spawnattr_destroy(attributes);
  }
}

function setAttributes(attributes: Uint8Array<ArrayBuffer>): void {
  const every = new Uint8Array(LAYOUT.sigset_t.size).fill(0xff);
  const none = new Uint8Array(LAYOUT.sigset_t.size);
  const flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  const symbols = libc();
  checkReturned("posix_spawnattr_setflags", symbols.posix_spawnattr_setflags(attributes, flags));
  checkReturned(
    "posix_spawnattr_setsigdefault",
    symbols.posix_spawnattr_setsigdefault(attributes, every),
  );
  checkReturned(
    "posix_spawnattr_setsigmask",
    symbols.posix_spawnattr_setsigmask(attributes, none),
  );
}
