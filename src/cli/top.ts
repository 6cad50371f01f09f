/** `multibinder top`: the sockets of a binder, looked at again and again. */

import { COLUMNS, LS_OPTIONS } from "./ls.ts";
import { watchSockets } from "./live_list.ts";
import { defineSubcommand } from "./subcommand.ts";

const SCREEN = `
On a terminal it fills the screen, those in trouble first; q or Ctrl-C ends it.
Elsewhere each look prints a line for every socket that has changed, or, with --json,
one line with the whole list.
`;

export const subcommand = defineSubcommand({
  name: "top",
  about: "watch a binder's sockets, those in trouble first",
  options: LS_OPTIONS,
  sections: { "The screen": SCREEN, "Columns": COLUMNS },
  examples: ["multibinder top", "multibinder top --interval 5s"],
  run: ({ options }) => watchSockets(options),
});
