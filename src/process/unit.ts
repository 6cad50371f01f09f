/** The systemd unit that a process belongs to, as `systemctl` shows it. */

import { messageOf } from "../errors.ts";
import type { Finding } from "../finding.ts";
import { textAt } from "../proc.ts";
import { examineStore, PROPERTIES, serviceOf } from "../systemd/fd_store.ts";
import type { Children } from "./children.ts";
import { outputOf } from "./output_of.ts";

/** Milliseconds for systemctl to answer. */
const ANSWER_TIME = 5000;

/**
 * Looks at the descriptor store of a process's unit.
 * @param sockets how many it is to store
 * @returns undefined for a process that is of no unit of the system
 */
export async function examineUnit(
  pid: number,
  sockets: number,
  children: Children,
): Promise<Finding | undefined> {
  const unit = serviceOf(textAt(`/proc/${pid}/cgroup`));
  if (unit === undefined) return undefined;
  const properties = PROPERTIES.map((name) => `--property=${name}`);
  const env = Deno.env.toObject();
  try {
    const { text } = await outputOf(
      (outputs) =>
        children.start({ argv: ["systemctl", "show", ...properties, unit], env, ...outputs }),
      ANSWER_TIME,
    );
    return examineStore(unit, text, sockets, pid);
  } catch (error) {
    const message = `systemctl cannot be asked about ${unit}: ${messageOf(error)}`;
    return { check: "fd_store", level: "unknown", message };
  }
}
