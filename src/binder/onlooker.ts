/** Looking at what an adopter is about to hand back, before this process has it. */

import type { Fd } from "../../ffi/fd.ts";
import { sendSignal } from "../../ffi/process.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Children } from "../process/children.ts";
import { ownCommand } from "../process/successor.ts";
import { Queue } from "../turns.ts";

/** Milliseconds that a look may take: it ends with a close of what was looked at. */
const PATIENCE = 5000;
/** Looks at a time: each is a start of this program. */
const AT_ONCE = 2;
/** Processes that may hang in such a close before no more are started. */
const MAX_HELD_UP = 8;

/** Starts `multibinder look`. */
export class Onlooker {
  readonly #turns = new Queue(AT_ONCE);
  #lookers = 0;

  constructor(readonly children: Pick<Children, "start">, readonly log: Log) {}

  /** Whether all descriptors of the message that waits at a connection are sockets. */
  readonly look = (connection: Fd): Promise<boolean> => {
    return this.#turns.run(() => this.#look(connection));
  };

  async #look(connection: Fd): Promise<boolean> {
    if (connection.closed || this.#lookers >= AT_ONCE + MAX_HELD_UP) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    try {
      const [own, ...words] = ownCommand();
      const argv = [own, ...words, "look"] as const;
      const child = this.children.start({ argv, env: Deno.env.toObject(), fds: [connection] });
      this.#lookers++;
      const timer = setTimeout(() => {
        sendSignal(child.pid, "SIGKILL");
        // Its end may have to wait until the file's server ends.
        resolve(false);
      }, PATIENCE);
      void child.exited.then((status) => {
        this.#lookers--;
        clearTimeout(timer);
        resolve("code" in status && status.code === 0);
      });
    } catch (error) {
      this.log.warn("cannot look at descriptors", { error: messageOf(error) });
      return false;
    }
    return await promise;
  }
}
