/** Clients that ask for more than their share and read nothing: nobody else has less for it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { createSocket } from "node:dgram";
import "../support/libc.ts";
import { type Binder, type BinderOptions, startBinder } from "../support/binder.ts";
import { ControlConnection } from "../support/control_client.ts";
import { PROMPT } from "../support/crowd.ts";
import { processStatus, until } from "../support/process_status.ts";
import { type Program, startProgram } from "../support/program.ts";
import { loopbackHost, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ignore = ignoreUnless(Deno.uid() === 0, "to be several users needs root");
const SCRIPT = new URL("../support/greedy_client.py", import.meta.url).pathname;
/** Who is allowed to ask, and no more. */
const GREEDY = "65533";
/** A binder's user. */
const OWN = "65534";

interface Scene extends AsyncDisposable {
  binder: Binder;
  greedy: Program;
  address: string;
}

/** A binder, and a greedy client of it that has asked. */
async function scene(
  mode: string,
  options: BinderOptions = {},
  host?: string,
): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack();
  const address = loopbackHost();
  const binder = cleanup.use(
    await startBinder([`${address}:2080`], {
      ...options,
      args: ["--mode", "0666", "--allow-uid", GREEDY, "--allow", "*"],
    }),
  );
  const words = [mode, binder.sock, GREEDY, host ?? address, "2080"];
  const greedy = cleanup.use(startProgram(["python3", SCRIPT, ...words], { stdin: "piped" }));
  await greedy.waitFor(/done/);
  const resources = cleanup.move();
  return { binder, greedy, address, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** Asserts that root gets a socket, on a new connection each time. */
async function rootIsServed({ binder, address }: Scene): Promise<void> {
  for (let round = 0; round < 20; round++) {
    using connection = await ControlConnection.open(binder.sock);
    assertEquals((await connection.bind({ address, port: 2080 }))?.result, true);
  }
}

/** What the greedy client finds when it looks for answers at last. */
async function look({ greedy }: Scene): Promise<string> {
  await greedy.write("look\n");
  const [found = ""] = await greedy.waitFor(/answered .*\./);
  return found;
}

for (const mode of ["once", "connections"]) {
  Deno.test({
    name: `descriptors that are not read are bounded for a user: ${mode}`,
    ignore,
    async fn() {
      using folder = tempDir();
      Deno.chownSync(folder.path, Number(OWN), Number(OWN));
      // Root's processes may have as many under way as they like; of others the kernel refuses more than that.
      const through = ["prlimit", "--nofile=1024", "setpriv", "--reuid", OWN, "--regid", OWN];
      await using all = await scene(mode, {
        sock: folder.file("sock"),
        through: [...through, "--clear-groups"],
      });
      await rootIsServed(all);
      if (mode === "connections") {
        assertMatch(await look(all), / ETOOMANYREFS/);
        assertMatch(
          all.binder.program.stderr,
          /warn refused a request .*too much waits for clients of uid 65533: descriptors/,
        );
      }
      await rootIsServed(all);
    },
  });
}

Deno.test({
  name: "long requests that are not read cost a bounded amount of memory",
  ignore,
  async fn() {
    await using all = await scene("long");
    await rootIsServed(all);
    const memory = Number.parseInt(processStatus(all.binder.program.pid, "RssAnon") ?? "");
    // Half as much was seen. If the requests were not handled one at a time, it would be more.
    assert(memory < 64 * 1024, `${memory} KiB`);
    assertMatch(await look(all), / (ENOBUFS|ETOOMANYREFS)/);
  },
});

Deno.test({
  name: "names of one user that no name server answers keep nobody else out",
  ignore,
  async fn() {
    using folder = tempDir();
    const mute = createSocket("udp4");
    using cleanup = new DisposableStack();
    cleanup.defer(() => mute.close());
    const server = loopbackHost();
    await new Promise<void>((resolve) => mute.bind(53, server, resolve));
    Deno.writeTextFileSync(folder.file("resolv.conf"), `nameserver ${server}\n`);
    const script = `mount --bind ${folder.file("resolv.conf")} /etc/resolv.conf && exec "$0" "$@"`;
    await using all = await scene("names", {
      through: ["unshare", "--mount", "sh", "-c", script],
    });
    await rootIsServed(all);
    assertMatch(await look(all), /EAGAIN/);
  },
});

Deno.test({
  name: "batches of thousands that fail delay nobody, and leave nothing",
  ignore,
  async fn() {
    using folder = tempDir();
    const paths = folder.file("paths");
    Deno.mkdirSync(paths);
    await using all = await scene("paths", {}, paths);
    let longest = 0;
    for (let round = 0; round < 20; round++) {
      const start = performance.now();
      using connection = await ControlConnection.open(all.binder.sock);
      await connection.send('{"method":"status","id":1}');
      assertEquals((await connection.receive())?.id, 1);
      longest = Math.max(longest, performance.now() - start);
    }
    // If the batches were not bound in pieces, a client would wait for whole ones.
    assert(longest < PROMPT, `a client waited for ${Math.round(longest)} ms`);
    assertMatch(await look(all), /answered/);
    await until(() => [...Deno.readDirSync(paths)].length === 0);
  },
});
