/** Running a command that ends by itself: one that checks a config, or that asks the server for its version. */

import type { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { sendSignal } from "../../ffi/process.ts";
import { raiseFdLimit, reserveFds } from "../../ffi/rlimit.ts";
import { type Child, Children } from "../process/children.ts";
import type { BindParam } from "../control/messages.ts";
import type { Log } from "../log.ts";
import { leaveSignals } from "../process/signals.ts";
import { hidden } from "../servers/check.ts";
import { exitCodeOf, Launch } from "../servers/launch.ts";
import type { Service } from "../servers/service.ts";
import { environmentWith } from "./environment_file.ts";
import { hiderFor, planTargets, renderFiles, targetsOf, writeFiles } from "./config_files.ts";
import { chooseSockets } from "./choose_sockets.ts";
import { socketsForCheck } from "./stand_ins.ts";
import type { WrapperOptions } from "./options.ts";

/** The options that concern a check. */
export interface CheckOptions
  extends
    Pick<WrapperOptions, "sock" | "binderUid" | "wait" | "renderDir" | "listen" | "envFiles"> {
  /** Whether the check gets the real sockets, and fails without them. */
  strict: boolean;
}

/**
 * Runs the command; one that checks a config has the sockets in place.
 * @returns the exit code: the server's own, 128 + n for signal n
 * @throws {UserError} when its config is of no use
 */
export async function runOnce(
  service: Service,
  options: CheckOptions,
  log: Log,
): Promise<number> {
  // A signal ends this program at once. The command is killed first: it would go on with the sockets.
  let child: Child | undefined;
  leaveSignals((pid, name) => {
    if (child) sendSignal(child.pid, "SIGKILL");
    sendSignal(pid, name);
  });
  const end = async (started: Child): Promise<number> => {
    child = started;
    const status = await started.exited;
    child = undefined;
    return exitCodeOf(status);
  };
  const children = new Children();
  const poller = new Poller();
  const templates = planTargets(service.configs, options.renderDir);
  const files = targetsOf(templates);
  const env = environmentWith(options.envFiles);
  if (service.purpose !== "check") {
    return await end(service.run(new Launch({ children, poller, log, files, env })));
  }
  raiseFdLimit();
  void reserveFds(2048);
  const { socketNames } = service.server;
  const named = options.listen;
  const rendered = renderFiles(templates, env, socketNames, named);
  const sockets = await socketsFor(rendered.sockets, options, poller, log);
  writeFiles(rendered.files);
  try {
    return await end(
      service.run(new Launch({ children, poller, log, files, env, sockets, named })),
    );
  } catch (error) {
    throw hidden(error, hiderFor(service.configs, env));
  }
}

/** The real sockets for a strict check; for any other those that a binder holds, and stand-ins. */
async function socketsFor(
  params: readonly BindParam[],
  options: CheckOptions,
  poller: Poller,
  log: Log,
): Promise<Fd[]> {
  if (!options.strict) return await socketsForCheck(params, options, poller, log);
  const { sock, wait } = options;
  const binderUid = options.binderUid?.();
  const sockets = chooseSockets({ sock, binderUid, wait, longLived: false }, poller, log);
  return await sockets.prepare(params);
}
