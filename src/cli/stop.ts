/** `multibinder stop`: stops a wrapper and its server, and waits until that has happened. */

import { EXIT, UserError } from "../errors.ts";
import { print } from "./output.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { connectTo, NAME, NAMES } from "./target.ts";
import { duration } from "./values.ts";

const OUTCOME = `
The same as SIGTERM: the server finishes its connections, for at most the wrapper's
--drain, after its --stop-delay. It is waited for; the sockets stay with the binder.
A second stop meanwhile stops at once.
`;

export const subcommand = defineSubcommand({
  name: "stop",
  about: "stop a wrapper gracefully, and wait for its end",
  argument: NAME,
  options: {
    sock: SOCK,
    timeout: {
      placeholder: "TIME",
      about: "how long to wait for the end",
      read: duration,
      default: "15m",
    },
  },
  sections: { "Outcome": OUTCOME, "Which one": NAMES },
  examples: ["multibinder stop site"],
  async run({ options, words }) {
    using client = await connectTo(options.sock, words, "wrapper");
    await client.call("stop", []);
    let timer: number | undefined;
    const late = new Promise<"late">((resolve) =>
      timer = setTimeout(() => resolve("late"), options.timeout)
    );
    const outcome = await Promise.race([client.gone(), late]);
    clearTimeout(timer);
    if (outcome === "late") throw new UserError("it has not ended yet, and goes on stopping");
    print("stopped\n");
    return EXIT.ok;
  },
});
