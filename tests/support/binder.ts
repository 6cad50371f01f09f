/** Binders under test. */

import { type Program, type ProgramOptions, startProgram } from "./program.ts";
import type { BinderStatus } from "./status.ts";
import { tempDir } from "./temp_dir.ts";
import { waitForStatus } from "./wait_for_status.ts";

/** The compiled program under test. */
export function multibinder(): string {
  const path = Deno.env.get("MULTIBINDER_BIN");
  if (path) return path;
  throw new Error("MULTIBINDER_BIN must name the compiled program; scripts/test.sh sets it");
}

export interface BinderOptions extends ProgramOptions {
  /** Options of `bind`. */
  args?: readonly string[];
  /** Path of the control socket; in a folder of its own by default. */
  sock?: string;
  /** The program, by default {@link multibinder}. */
  program?: string;
  /** What runs it, such as `prlimit --nofile=64`. It must exec. */
  through?: readonly string[];
}

/** A running binder. */
export interface Binder extends AsyncDisposable {
  readonly sock: string;
  readonly program: Program;
  /** Waits until its status is so. @returns that status */
  waitFor(holds: (status: BinderStatus) => boolean): Promise<BinderStatus>;
}

/** Starts a binder, and waits until it serves its control socket. */
export async function startBinder(
  addresses: readonly string[] = [],
  options: BinderOptions = {},
): Promise<Binder> {
  await using cleanup = new AsyncDisposableStack();
  const sock = options.sock ?? cleanup.use(tempDir()).file("control.sock");
  const words = [...(options.through ?? []), options.program ?? multibinder(), "bind"];
  const [file = "", ...args] = [...words, "--sock", sock, ...(options.args ?? []), ...addresses];
  const program = cleanup.use(startProgram([file, ...args], options));
  await program.waitFor(/listening for binds/);
  const resources = cleanup.move();
  return {
    sock,
    program,
    waitFor: (holds) => waitForStatus(program, sock, holds),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
