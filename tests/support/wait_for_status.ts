/** Waiting for what a binder or a wrapper says of itself on its control socket. */

import { ControlConnection } from "./control_client.ts";
import type { Program } from "./program.ts";
import type { Status } from "./status.ts";
import { PATIENCE } from "./deadline.ts";

/** Between two looks, in milliseconds: looking must not take the processor from what is awaited. */
const PAUSE = 10;

/**
 * Waits until the status of a running program is so.
 * @param sock its control socket
 * @returns that status; rejects when the program ends first
 */
export async function waitForStatus<T extends Status>(
  program: Program,
  sock: string,
  holds: (status: T) => boolean,
): Promise<T> {
  for (const start = performance.now();;) {
    const status = await lookAt<T>(sock);
    if (status !== undefined && holds(status)) return status;
    const late = performance.now() - start > PATIENCE;
    if (late || program.ended) {
      const why = late ? "did not come to be" : "cannot come to be, it ended";
      throw new Error(
        `${program.argv.join(" ")} (pid ${program.pid}): ${why}: ${holds}\n` +
          `--- status\n${JSON.stringify(status, null, 2)}\n--- stderr\n${program.stderr}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

/** The status, asked without a program; undefined where nobody answers. */
async function lookAt<T>(sock: string): Promise<T | undefined> {
  try {
    using connection = await ControlConnection.open(sock);
    await connection.send('{"jsonrpc":"2.0","id":1,"method":"status"}');
    return (await connection.receive())?.result as T | undefined;
  } catch {
    return undefined; // Not there yet, or just ending.
  }
}
