/** What a config has from the environment is in nothing that multibinder says, whatever is wrong with the config. */

import { assert, assertMatch, assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { site, startWrapper, tag, wrapperCommand } from "../support/haproxy.ts";
import { newTarget } from "../support/http_client.ts";
import { runProgram } from "../support/program.ts";
import { ask } from "../support/status.ts";
import { tempDir } from "../support/temp_dir.ts";

const PASSWORD = "hunter2-of-the-site";
const TOKEN = "correct horse battery";
/** No part of these may be seen. */
const PARTS = ["hunter2", ...TOKEN.split(" ")];

function tellsNothing(text: string, where: string): void {
  for (const part of PARTS) assert(!text.includes(part), `${where}: ${text}`);
}

Deno.test("a secret of the environment or of --env-file is in no log, no answer and no error", async () => {
  using folder = tempDir();
  const target = newTarget();
  const file = folder.file("env");
  Deno.writeTextFileSync(file, `TOKEN="${TOKEN}"\n`);
  await using binder = await startBinder([], { args: ["--log-level", "debug"] });
  const good = site(tag(target), "ok", {
    global: ["# <%= ENV['PASSWORD'] %> <%= ENV['TOKEN'] %>"],
  });
  await using wrapper = await startWrapper(good, {
    sock: binder.sock,
    args: ["--env-file", file, "--log-level", "debug"],
    env: { PASSWORD },
  });
  const bad = (line: string) => site(tag(target), "x", { frontend: [line] });
  const templates: [template: string, sign: RegExp][] = [
    // Not the last one: doctor shows addresses of the config that was rendered last, which its user may read anyway.
    [bad("bind abns@<%= ENV['PASSWORD'] %>"), /\$PASSWORD is an abstract name/],
    // HAProxy quotes the word, also where it replaces the variable itself.
    [bad("<%= ENV['PASSWORD'] %>"), /unknown keyword '\$PASSWORD'/],
    [bad("<%= ENV['TOKEN'] %>"), /unknown keyword '\$TOKEN'/],
    [bad('"${PASSWORD}"'), /unknown keyword '\$PASSWORD'/],
    [bad("errorfile 503 /<%= ENV['PASSWORD'] %>"), /\/\$PASSWORD/],
    // Errors of the template's code.
    [bad("<% throw new Error(ENV['TOKEN']) %>"), /\$TOKEN/],
    [bad("<%= JSON.parse(ENV['PASSWORD']) %>"), /not valid JSON/],
    [bad("<%= bind(ENV['PASSWORD']) %>"), /malformed address "\$PASSWORD"/],
    [bad("<%= bind('unix:/run/x', { mode: ENV['PASSWORD'] }) %>"), /\$PASSWORD/],
  ];
  for (const [template, sign] of templates) {
    wrapper.template = template;
    const outcome = await ask("reload", wrapper.control);
    assertStrictEquals(outcome.code, 1);
    assertMatch(outcome.stderr, sign);
    tellsNothing(outcome.stdout + outcome.stderr, template);
    // Without a wrapper: what multibinder says itself, since HAProxy's own lines are its own.
    const command = ["haproxy", "-c", "-f", wrapper.path];
    const words = wrapperCommand("exec", {
      sock: binder.sock,
      args: ["--env-file", file],
      command,
    });
    const checked = await runProgram(words, { env: { PASSWORD } });
    assert(checked.code !== 0);
    const own = checked.stderr.split("\n").filter((line) => line.startsWith("multibinder: "));
    tellsNothing(own.join("\n"), template);
  }
  const commands = ["status", "ls", "doctor", "metrics"].flatMap((command) => [
    [command, "--sock", binder.sock],
    ...command === "ls" ? [] : [[command, "--sock", wrapper.control]],
  ]);
  for (const command of commands) {
    const { stdout, stderr } = await runProgram([multibinder(), ...command]);
    tellsNothing(stdout + stderr, command.join(" "));
  }
  tellsNothing(wrapper.program.stderr, "the wrapper's log");
  tellsNothing(binder.program.stderr, "the binder's log");
});
