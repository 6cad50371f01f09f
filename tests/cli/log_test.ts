/** The log's colours, which only a terminal gets. */

import { assertEquals } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { startProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";

const YELLOW = "\x1b[33m";

Deno.test("levels are coloured on a terminal, and not where NO_COLOR is set", async () => {
  using dir = tempDir();
  const config = dir.file("site.cfg");
  Deno.writeTextFileSync(
    config,
    `global
  maxconn 10
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend site
  bind ${loopbackHost()}:8000
  http-request return status 200
`,
  );
  // Such a config is worth a warning.
  const plain = [multibinder(), "exec", "--", "haproxy", "-f", config] as const;
  const onTerminal = ["script", "-qec", plain.join(" "), "/dev/null"] as const;
  const coloured = async (argv: readonly [string, ...string[]], env = {}) => {
    await using program = startProgram(argv, { env });
    const { input } = await program.waitFor(/ no config here is a template/);
    return input?.includes(` ${YELLOW}warn`) ?? false;
  };
  assertEquals(
    [
      await coloured(onTerminal),
      await coloured(onTerminal, { NO_COLOR: "1" }),
      await coloured(plain),
    ],
    [true, false, false],
  );
});
