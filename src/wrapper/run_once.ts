/** A HAProxy that ends by itself: it checks its config, or answers a question such as `-v`. */

import { Poller } from "../../ffi/poll.ts";
import { raiseFdLimit, reserveFds } from "../../ffi/rlimit.ts";
import { Children } from "../process/children.ts";
import type { Log } from "../log.ts";
import { planTargets, renderFiles, writeFiles } from "./config_files.ts";
import type { Command } from "../servers/haproxy.ts";
import { Launcher } from "./launcher.ts";
import { chooseSockets } from "./sockets.ts";
import type { WrapperOptions } from "./wrapper.ts";

/**
 * Runs it, for a check with the sockets in place.
 * @returns the exit code: HAProxy's own, 128 + n for signal n
 * @throws {UserError} when its config is of no use
 */
export async function runOnce(
  command: Command,
  { sock, wait, renderDir }: Pick<WrapperOptions, "sock" | "wait" | "renderDir">,
  log: Log,
): Promise<number> {
  const templates = planTargets(command, renderDir);
  const launcher = new Launcher(new Children(), command, templates);
  if (command.purpose !== "check") return await launcher.run([]);
  raiseFdLimit();
  void reserveFds(2048);
  const rendered = renderFiles(templates, Deno.env.toObject());
  const sockets = chooseSockets({ sock, wait, lasting: false }, new Poller(), log);
  const fds = await sockets.prepare(rendered.sockets);
  writeFiles(rendered.files);
  const code = await launcher.run(fds);
  sockets.close();
  return code;
}
