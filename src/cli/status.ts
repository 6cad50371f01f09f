/** `multibinder status`: what a binder or a wrapper holds and does. */

import { setColorEnabled } from "@std/fmt/colors";
import { EXIT } from "../errors.ts";
import { print } from "./output.ts";
import { request } from "./request.ts";
import { SOCK } from "./shared_options.ts";
import { describeStatus } from "./status_text.ts";
import { defineSubcommand } from "./subcommand.ts";

const ANSWER = `
A wrapper answers at the control socket given by its --control. With --json the answer
is printed as it came: members are added over time, never renamed.
`;

export const subcommand = defineSubcommand({
  name: "status",
  about: "show what a binder or a wrapper holds and does",
  options: { sock: SOCK, json: { about: "print it as JSON" } },
  talksTo: "either",
  sections: { "Answer": ANSWER },
  examples: ["multibinder status", "multibinder status --sock /run/site/control.sock --json"],
  async run({ options }) {
    const status = await request(this, options.sock, "status");
    setColorEnabled(Deno.stdout.isTerminal());
    print(options.json ? `${JSON.stringify(status, null, 2)}\n` : describeStatus(status));
    return EXIT.ok;
  },
});
