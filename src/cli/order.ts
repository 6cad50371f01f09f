/** Subcommands that have a binder or a wrapper do something, and print what has come of it. */

import { EXIT } from "../errors.ts";
import { escapeControls } from "../escape.ts";
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
    talksTo: "either",
    sections: { "Outcome": outcome, "Which one": NAMES },
    async run({ options, words }) {
      using client = await connectTo(options.sock, words, "either", options.timeout);
      print(`${escapeControls(messageIn(await client.call(name, [])))}\n`);
      return EXIT.ok;
    },
  });
}

function messageIn(outcome: unknown): string {
  const isOutcome = typeof outcome === "object" && outcome !== null && "message" in outcome;
  return String(isOutcome ? outcome.message : outcome);
}
