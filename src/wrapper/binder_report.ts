/** What a binder is told of a wrapper. */

import type { WrapperReport } from "../control/reports.ts";
import type { ReloadOutcome } from "./reloads.ts";
import type { Supervisor } from "./supervisor.ts";

/** Characters of a text in a report, which is sent at every change. */
const MAX_TEXT = 4096;

/**
 * Makes the report.
 * @param service its identity
 * @param control where the wrapper's control socket listens; null for nowhere
 */
export function reportFor(
  service: string,
  control: string | null,
  supervisor: Supervisor,
  lastReload: ReloadOutcome | null,
): WrapperReport {
  return {
    service: service.slice(0, MAX_TEXT),
    self: Deno.pid,
    control: control && absolute(control),
    generations: supervisor.snapshot().generations
      .map(({ number, pid, state }) => ({ number, pid, state })),
    lastReload: lastReload &&
      { ...lastReload, message: lastReload.message.slice(0, MAX_TEXT) },
  };
}

/** A path that means the same wherever it is used. */
function absolute(path: string): string {
  return /^[@/]/.test(path) ? path : `${Deno.cwd()}/${path}`;
}
