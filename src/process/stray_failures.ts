/**
 * Failures of what a template has started and not waited for: a promise that is rejected once the template has been
 * rendered, or a timer whose function throws. They are a mistake in a config, and must not end a program on which a
 * server depends. A failure of this program's own code still does.
 * @module
 */

import type { Log } from "../log.ts";

/** Has such failures written to the log, from now on. */
export function surviveStrayFailures(log: Pick<Log, "warn">): void {
  addEventListener("unhandledrejection", (event) => survive(event, event.reason, log));
  addEventListener("error", (event) => survive(event, event.error, log));
}

function survive(event: Event, reason: unknown, log: Pick<Log, "warn">): void {
  if (isOurs(reason)) return;
  event.preventDefault();
  // Its message is left out: it may have a value that nobody is to be told.
  const error = reason instanceof Error ? reason.name : typeof reason;
  const what =
    "something failed that a template has started and not waited for: templates do not wait";
  log.warn(what, { error });
}

/**
 * Whether the stack of an error has functions of this program's modules, and none of a template: the code of a template
 * has no file. What the runtime fails at by itself has neither.
 */
function isOurs(reason: unknown): boolean {
  const stack = reason instanceof Error ? reason.stack ?? "" : "";
  return /^ +at .*file:\/\//m.test(stack) && !/^ +at .*<anonymous>:\d+:\d+/m.test(stack);
}
