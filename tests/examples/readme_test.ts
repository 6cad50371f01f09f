/** README's example works when it is pasted, in whatever order its two programs come up. */

import { assertEquals, assertMatch } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { commandsOf } from "../support/page.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

/** How often: as MULTIBINDER_PASTES says, else a few times. */
const PASTES = Number(Deno.env.get("MULTIBINDER_PASTES") || 4);
const AT_ONCE = 2;

/** A shell with job control, in which nobody else has port 8080 or this folder. */
function pasted(start: string, reload: string): string {
  return `
    set -eum
    ip link set lo up
    mount -t tmpfs none /run
    mkdir /run/bin /run/here
    cd /run/here
    ln -s "$0" /run/bin/multibinder
    PATH=/run/bin:$PATH
${start}
    # As soon as a person could have gone on, and the program has come up.
    until curl -sf -o /run/log http://127.0.0.1:8080/ && multibinder status site >/run/log; do
      # A program that has ended is not waited for.
      kill -0 %1 && kill -0 %2
      sleep 0.05
    done
${reload}
    kill %2
    wait %2
    kill %1
    wait %1
  `;
}

Deno.test({
  name: `pasted ${PASTES} times, README's example serves, and reloads`,
  ignore: ignoreUnless(Deno.uid() === 0, "namespaces of its own need root"),
  async fn() {
    const [build = "", start = "", reload = "", ...others] = commandsOf("README.md");
    // The first one is how these tests were built.
    assertMatch(build, /^\.\/scripts\/build\.sh .*\n$/);
    assertEquals([start.includes("exec"), reload.includes("reload"), others], [true, true, []]);
    using folder = tempDir();
    const script = folder.file("pasted");
    Deno.writeTextFileSync(script, pasted(start, reload));
    const apart = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const once = async () => {
      const shell = `script=$1; shift; exec bash -c "$(cat "$script")" "$0"`;
      const words = ["unshare", ...apart, "bash", "-c", shell, multibinder(), script] as const;
      const run = await runProgram(words);
      assertEquals([run.code, run.stdout.match(/^v[12]$/gm)], [0, ["v1", "v2"]], run.stderr);
    };
    for (let left = PASTES; left > 0; left -= AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, once));
    }
  },
});
