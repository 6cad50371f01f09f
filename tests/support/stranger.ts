/** Another user, who sends descriptors whose close waits. */

import { startProgram } from "./program.ts";

/** What makes and sends them. */
export const SCRIPT = new URL("./strange_descriptors.py", import.meta.url).pathname;

/** Who that is, unless a test says otherwise. */
export const STRANGER = "65534";

/** Whether this machine has what it takes to serve a file. */
export function hasFuse(): boolean {
  try {
    return Deno.statSync("/dev/fuse").isCharDevice === true;
  } catch {
    return false;
  }
}

/** A stranger, who sends descriptors from processes that end when they have sent. */
export class Stranger implements AsyncDisposable {
  readonly #python;
  #sent = 0;

  /** @param uid the user */
  constructor(uid: string = STRANGER) {
    this.#python = startProgram(["python3", SCRIPT, "send", uid], { stdin: "piped" });
  }

  /** Has one process send a descriptor, as the script says. */
  async send(sock: string, kind: string, way: string, text: string): Promise<void> {
    await this.#python.write(`${sock} ${kind} ${way} ${text}\n`);
    await this.#python.waitFor(/sent/, ++this.#sent);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // With all that it has started: who serves a file is a process of its own.
    await this.#python[Symbol.asyncDispose]();
  }
}
