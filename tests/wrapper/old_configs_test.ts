/** What configs carry that were written for HAProxy as a daemon or a master. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { debianProgram } from "../support/debian_program.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { get, newTarget } from "../support/http_client.ts";
import { childrenOf } from "../support/process_status.ts";
import { tempDir } from "../support/temp_dir.ts";

/** Debian's releases with 2.6, 3.0 and the newest HAProxy that there is. */
const RELEASES = ["bookworm", "trixie", "sid"];

for (const release of RELEASES) {
  const { env, ignore } = await debianProgram(release, "haproxy");

  Deno.test({
    name: `${release}: lines for a daemon, for a master and for handing over sockets do no harm`,
    ignore,
    async fn() {
      using folder = tempDir();
      await using binder = await startBinder();
      const target = newTarget();
      const global = [
        "daemon",
        "master-worker",
        "mworker-max-reloads 3",
        `pidfile ${folder.file("pid")}`,
        `stats socket ${folder.file("stats")} level admin expose-fd listeners`,
        "hard-stop-after 30s",
      ];
      const template = (reply: string) => site(tag(target), reply, { global });
      await using wrapper = await startWrapper(template("0"), { sock: binder.sock, env });
      for (const reply of ["1", "2", "3", "4"]) {
        wrapper.template = template(reply);
        const outcome = await wrapper.reload();
        assertStrictEquals(outcome.ok, true, outcome.message);
        assertStrictEquals(await get(target), reply);
        await wrapper.drained();
      }
      // Nobody has forked away, and of the generations before, masters and workers are gone.
      const { pid } = await wrapper.serving();
      assertEquals(childrenOf(wrapper.program.pid), [pid]);
      assertEquals(childrenOf(pid).flatMap(childrenOf), []);
      assert(childrenOf(pid).length <= 1, "more than one worker");
    },
  });
}
