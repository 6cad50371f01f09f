/** README's example works when it is pasted, in whatever order its two programs come up. */

import { assertEquals } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const README = new URL("../../README.md", import.meta.url);
const ROUNDS = 10;
const AT_ONCE = 2;

/** The code blocks of the section "Use it": the config, the start, and the reload. */
function blocks(): string[] {
  const [, section = ""] = /^## Use it$([^]*?)^## /m.exec(Deno.readTextFileSync(README)) ?? [];
  return [...section.matchAll(/^```(?:sh)?\n([^]*?)^```$/gm)].map(([, text = ""]) => text);
}

/** A shell with job control, in which nobody else has port 80, /run or /etc/haproxy. */
function pasted(config: string, start: string, reload: string): string {
  return `
    set -eum
    ip link set lo up
    mount -t tmpfs none /run
    mkdir -p /etc/haproxy
    mount -t tmpfs none /etc/haproxy
    mkdir /run/bin /run/v1 /run/v2
    ln -s "$0" /run/bin/multibinder
    PATH=/run/bin:$PATH
    for one in 1 2; do
      echo "v$one" >/run/v$one/index.html
      # Not a job of this shell: the example counts its own.
      (python3 -m http.server --bind 127.0.0.1 --directory /run/v$one 300$one >/run/log 2>&1 &)
      until curl -sf -o /run/log http://127.0.0.1:300$one/; do sleep 0.05; done
    done
    answers() {
      until [[ $(curl -s http://127.0.0.1/) == "$1" ]]; do
        # A program that has ended is not waited for.
        kill -0 %1 && kill -0 %2
        sleep 0.05
      done
    }
    cat >/etc/haproxy/site.cfg.eta <<'END'
${config.replace(":3000", ":3001")}
END
${start}
    answers v1
    sed -i s/:3001/:3002/ /etc/haproxy/site.cfg.eta
${reload}
    answers v2
    kill %2
    wait %2
    kill %1
    wait %1
  `;
}

Deno.test({
  name: `pasted ${ROUNDS * AT_ONCE} times, README's example serves, and reloads`,
  ignore: ignoreUnless(Deno.uid() === 0, "namespaces of its own need root"),
  async fn() {
    const [config = "", start = "", reload = ""] = blocks();
    assertEquals([config.includes("bind_tcp"), start.includes("exec"), reload.includes("USR2")], [
      true,
      true,
      true,
    ]);
    using folder = tempDir();
    const script = folder.file("pasted");
    Deno.writeTextFileSync(script, pasted(config, start, reload));
    const apart = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const once = async () => {
      const shell = `script=$1; shift; exec bash -c "$(cat "$script")" "$0"`;
      const words = ["unshare", ...apart, "bash", "-c", shell, multibinder(), script] as const;
      const run = await runProgram(words);
      assertEquals(run.code, 0, run.stderr);
    };
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(Array.from({ length: AT_ONCE }, once));
    }
  },
});
