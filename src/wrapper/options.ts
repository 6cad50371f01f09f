/** What a wrapper's command line says besides the server's own. */

import type { NamedSocket } from "../servers/named_sockets.ts";
import type { SupervisorLimits } from "./events.ts";
import type { HookCommands } from "./hooks.ts";
import type { Naming } from "./server_output.ts";

/** See the module's description. */
export interface WrapperOptions {
  /** The binder's control socket, if one was named. */
  sock?: string;
  /** The binder's user, when that is neither root nor our own. */
  binderUid?: (() => number) | undefined;
  /** Milliseconds to wait for that binder. */
  wait: number;
  /** Folder for rendered files instead of the templates'. */
  renderDir?: string;
  /** Path of a control socket of the wrapper's own, for status, reload and upgrade. */
  control?: string;
  /** Address at which metrics are to be read. */
  metrics?: string;
  /** Sockets that the server gets besides those of its templates, from its descriptor 3 on. */
  listen: readonly NamedSocket[];
  /** Files with variables for templates and the server, read anew for each generation. */
  envFiles: readonly string[];
  /** Files and folders that are watched, besides templates and configs; without any nothing is. */
  watch: readonly string[];
  /** Milliseconds from the end of one reload to the next one that a watched file asks for. */
  watchInterval: number;
  hooks: HookCommands;
  /** How the server's lines appear in the log, if they are to. */
  naming?: Naming | undefined;
  limits: SupervisorLimits;
}
