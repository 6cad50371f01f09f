/** What a binder has done for its clients so far, counted for metrics. */

import { RpcError } from "../control/messages.ts";
import type { Handler } from "../control/handler.ts";
import { natural, object, table } from "../process/shape.ts";

/** For a successor. */
export interface CountersState {
  /** Sockets handed out. */
  binds: number;
  /** Requests that were refused, by errno's name where there is one. */
  refusals: Record<string, number>;
}

/** What a state of counters looks like. */
export const countersShape = object<CountersState>({ binds: natural, refusals: table(natural) });

/** Stands in place of errno's name where the request itself is wrong. */
const BAD_REQUEST = "bad_request";

/** See the module's description. */
export class Counters {
  state: CountersState = { binds: 0, refusals: {} };

  /** Counts what a handler answers. */
  counting(handle: Handler): Handler {
    return async (request, caller) => {
      try {
        const reply = await handle(request, caller);
        this.state.binds += reply.fds.length;
        return reply;
      } catch (error) {
        if (error instanceof RpcError) this.#refused(error.body.data?.code ?? BAD_REQUEST);
        throw error;
      }
    };
  }

  #refused(code: string): void {
    const { refusals } = this.state;
    refusals[code] = (refusals[code] ?? 0) + 1;
  }
}
