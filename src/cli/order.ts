/** Subcommands that have a binder or a wrapper do something, and print what has come of it. */

import { type ControlClient, RefusedError } from "../control/client.ts";
import { EXIT } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { isJournal } from "../log.ts";
import { print } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand, type Subcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";
import { duration } from "./values.ts";

/** What is particular to one. */
export interface Order extends Pick<Subcommand, "about" | "examples"> {
  /** Also the request's method. */
  name: string;
  /** What is answered, in the help. */
  outcome: string;
  /** How long that may take, as a TIME. */
  patience: string;
}

/** Defines one. */
export function defineOrder({ name, outcome, patience, ...rest }: Order): Subcommand {
  return defineSubcommand({
    ...rest,
    name,
    argument: NAME,
    options: {
      sock: SOCK,
      timeout: {
        placeholder: "TIME",
        about: "to wait for the outcome",
        read: duration,
        default: patience,
      },
    },
    sections: { "Outcome": outcome, "Which one": NAMES },
    async run({ options, words }) {
      using client = await connectTo(options.sock, words, "either", options.timeout);
      try {
        print(`${escapeControls(messageIn(await client.call(name, [])))}\n`);
        return EXIT.ok;
      } catch (error) {
        // Once is enough in one journal.
        if (error instanceof RefusedError && await isToldThere(client)) return EXIT.failure;
        throw error;
      }
    },
  });
}

/** Whether this is ExecReload= of the unit of who answers, which has told its journal what went wrong. */
async function isToldThere(client: ControlClient): Promise<boolean> {
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
