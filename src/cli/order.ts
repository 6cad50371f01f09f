/** Subcommands that have a binder or a wrapper do something, and print the outcome. */

import type { ControlClient } from "../control/client.ts";
import { RefusedError } from "../control/client_errors.ts";
import { EXIT } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { isJournal } from "../log.ts";
import { print } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand, type Subcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";
import { duration } from "./values.ts";

/** What is particular to one of them. */
export interface Order extends Pick<Subcommand, "about" | "examples"> {
  /** Also the request's method. */
  name: string;
  /** What is answered, in the help. */
  outcome: string;
  /** How long the outcome may take, as a TIME. */
  timeout: string;
}

/** Defines one of them. */
export function defineOrder({ name, outcome, timeout, ...rest }: Order): Subcommand {
  return defineSubcommand({
    ...rest,
    name,
    argument: NAME,
    options: {
      sock: SOCK,
      timeout: {
        placeholder: "TIME",
        about: "how long to wait for the outcome",
        read: duration,
        default: timeout,
      },
    },
    sections: { "Outcome": outcome, "Which one": NAMES },
    async run({ options, words }) {
      using client = await connectTo(options.sock, words, "either", options.timeout);
      try {
        print(`${escapeControls(messageIn(await client.call(name, [])))}\n`);
        return EXIT.ok;
      } catch (error) {
        // The journal has the reason already.
        if (error instanceof RefusedError && await isInJournal(client)) return EXIT.failure;
        throw error;
      }
    },
  });
}

/** Whether this is the ExecReload= of the answering program's own unit, whose journal that program has told why. */
async function isInJournal(client: ControlClient): Promise<boolean> {
  const main = Deno.env.get("MAINPID");
  if (main === undefined || !isJournal()) return false;
  const status = await client.call("status", []);
  return typeof status === "object" && status !== null && "pid" in status &&
    String(status.pid) === main;
}

function messageIn(outcome: unknown): string {
  const isOutcome = typeof outcome === "object" && outcome !== null && "message" in outcome;
  return String(isOutcome ? outcome.message : outcome);
}
