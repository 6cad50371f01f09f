/** What a wrapper hands to its successor. */

import {
  COMMON,
  type CommonState,
  controlShape,
  type ControlState,
  descriptor,
  metricsShape,
  parseRoleState,
  path,
  pid,
} from "../process/state.ts";
import {
  list,
  natural,
  object,
  oneOf,
  orAbsent,
  orNull,
  type Shape,
  ShapeError,
  table,
  text,
  truth,
  whole,
} from "../process/shape.ts";
import { messageOf } from "../errors.ts";
import type { BindParam } from "../control/messages.ts";
import type { MetricsSocketState } from "../control/metrics_socket.ts";
import { MAX_BACKLOG, readOptions, type SocketOptions } from "../sockets/socket_options.ts";
import { countersShape, type CountersState } from "./counters.ts";
import type { ReloadOutcome } from "./reloads.ts";
import type { GenerationSnapshot, SupervisorSnapshot } from "./generation.ts";
import type { WatchState } from "./watch.ts";

/**
 * The format's version; the rule for change stands in `../process/state.ts`. Before 2 a socket for both families
 * had the host `*`, and none had options.
 */
export const WRAPPER_STATE_VERSION = 2;

/** The state, as JSON. Numbers named `fd` are descriptors that stay open across the exec. */
export interface WrapperState extends CommonState {
  role: "wrapper";
  generations: SupervisorSnapshot;
  sockets: { param: BindParam; fd: number }[];
  /** The control socket of the binder that they come from, null for none. Older programs did not say. */
  binder?: string | null;
  /** The number of the user that was named as the binder's. */
  binderUid?: number;
  control: ControlState | null;
  lastReload: ReloadOutcome | null;
  /** The pipes that generations write to. Older programs had none. */
  outputs?: { pid: number; fd: number }[];
  /** Older programs had none. */
  counters?: CountersState;
  /** The socket for metrics, where one was asked for. */
  metrics?: MetricsSocketState;
  /** The process that each generation has named for its signals, by the generation's pid. */
  mainPids?: Record<string, number>;
  /** What was noted of watched files. */
  watched?: WatchState;
}

const socketOptions: Shape<SocketOptions> = (value, at) => {
  try {
    return readOptions(table((one) => one)(value, at));
  } catch (error) {
    throw new ShapeError(at, `options of a socket (${messageOf(error)})`, value);
  }
};

const state = object<WrapperState>({
  ...COMMON,
  role: oneOf("wrapper"),
  generations: object<SupervisorSnapshot>({
    generations: list(object<GenerationSnapshot>({
      number: natural,
      pid,
      state: oneOf("starting", "serving", "draining"),
      isStopped: orAbsent(oneOf(true)),
    })),
    lastNumber: natural,
  }),
  sockets: list(object<WrapperState["sockets"][number]>({
    param: object<BindParam>({
      address: text(),
      port: orAbsent(whole(0, 65535)),
      backlog: orAbsent(whole(0, MAX_BACKLOG)),
      options: orAbsent(socketOptions),
    }),
    fd: descriptor,
  })),
  binder: orAbsent(orNull(path)),
  binderUid: orAbsent(whole(0, 2 ** 32 - 2)),
  control: orNull(controlShape),
  lastReload: orNull(object<ReloadOutcome>({ at: text(), ok: truth, message: text() })),
  outputs: orAbsent(list(object<{ pid: number; fd: number }>({ pid, fd: descriptor }))),
  counters: orAbsent(countersShape),
  metrics: orAbsent(metricsShape),
  mainPids: orAbsent(table(pid)),
  watched: orAbsent(table(text())),
});

/**
 * Reads a state.
 * @throws {UserError} when it is not one, naming the field, or newer than this program
 */
export function parseWrapperState(json: string): WrapperState {
  return parseRoleState(json, "wrapper", WRAPPER_STATE_VERSION, state);
}
