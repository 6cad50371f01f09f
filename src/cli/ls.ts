/** `multibinder ls`: the sockets of a binder, who serves them, what waits, what was dropped. */

import { setColorEnabled } from "@std/fmt/colors";
import { EXIT } from "../errors.ts";
import { print, printJson } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { listSockets } from "./socket_list.ts";
import { socketLines, troubleLines } from "./socket_table.ts";
import { defineSubcommand } from "./subcommand.ts";
import { duration } from "./values.ts";

export const COLUMNS = `
STATE      serving; draining: only old generations have it open; unserved: nobody
           but the binder has, and who connects waits; unknown: see SERVED BY
QUEUE      connections that wait to be accepted (UDP: bytes to be read), and how
LIMIT      many may
DROPS      connections (UDP: datagrams) that the kernel has dropped since the bind
SERVED BY  processes that have the socket open now, by /proc, else by what their
           wrapper says; unknown where neither tells, as in another container
LENT TO    who was handed it last: process, user, how often, when

What the kernel does not tell is shown as -. Sockets in trouble come first. On a
terminal a line is cut to its width; elsewhere it is whole.
`;

export const LS_OPTIONS = {
  sock: SOCK,
  json: { about: "print it as JSON" },
  interval: { placeholder: "TIME", about: "time between two looks", read: duration, default: "1s" },
} as const;

export const subcommand = defineSubcommand({
  name: "ls",
  about: "list a binder's sockets: who serves, what waits, what was lost",
  options: { ...LS_OPTIONS, watch: { about: "look again and again, as `top`" } },
  sections: { "Columns": COLUMNS },
  examples: ["multibinder ls", "multibinder ls --json"],
  async run({ options }) {
    if (options.watch) {
      const { watchSockets } = await import("./live_list.ts");
      return await watchSockets(options);
    }
    const sockets = await listSockets(options.sock);
    if (options.json) {
      printJson(sockets, 2);
      return EXIT.ok;
    }
    const isTerminal = Deno.stdout.isTerminal();
    setColorEnabled(isTerminal);
    // A table whose lines the terminal breaks could not be read.
    const width = isTerminal ? Deno.consoleSize().columns || Infinity : Infinity;
    print([...socketLines(sockets, Date.now(), width), ...troubleLines(sockets), ""].join("\n"));
    return EXIT.ok;
  },
});
