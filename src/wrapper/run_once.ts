/** A command that ends by itself: it checks a config, or asks the server a question such as its version. */

import { Poller } from "../../ffi/poll.ts";
import { raiseFdLimit, reserveFds } from "../../ffi/rlimit.ts";
import { Children } from "../process/children.ts";
import type { Log } from "../log.ts";
import { exitCodeOf, Launch } from "../servers/launch.ts";
import type { Service } from "../servers/service.ts";
import { planTargets, renderFiles, targetsOf, writeFiles } from "./config_files.ts";
import { chooseSockets } from "./sockets.ts";
import type { WrapperOptions } from "./wrapper.ts";

/**
 * Runs it, for a check with the sockets in place.
 * @returns the exit code: the server's own, 128 + n for signal n
 * @throws {UserError} when its config is of no use
 */
export async function runOnce(
  service: Service,
  { sock, binderUid, wait, renderDir }: Pick<
    WrapperOptions,
    "sock" | "binderUid" | "wait" | "renderDir"
  >,
  log: Log,
): Promise<number> {
  const children = new Children();
  const templates = planTargets(service.configs, renderDir);
  const files = targetsOf(templates);
  if (service.purpose !== "check") {
    return exitCodeOf(await service.run(new Launch(children, files)).exited);
  }
  raiseFdLimit();
  void reserveFds(2048);
  const { socketNames } = service.server;
  const rendered = renderFiles(templates, Deno.env.toObject(), socketNames);
  const sockets = chooseSockets({ sock, binderUid, wait, lasting: false }, new Poller(), log);
  const lent = await sockets.prepare(rendered.sockets);
  writeFiles(rendered.files);
  const status = await service.run(new Launch(children, files, lent)).exited;
  sockets.close();
  return exitCodeOf(status);
}
