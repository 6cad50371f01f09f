/** Any bytes and descriptors, sent to the compiled binder. */

import { assert, assertNotMatch, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import "../support/libc.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { startBinder } from "../support/binder.ts";
import { ControlConnection, settle } from "../support/control_client.ts";
import { assertAnswer, AT_ONCE, CASES, conversations, converse } from "../support/fuzz.ts";
import { settled } from "../support/poller.ts";
import { openFds } from "../support/process.ts";
import { startProgram } from "../support/program.ts";
import { ignoreUnless } from "../support/users.ts";
import { processStatus, until } from "../support/process_status.ts";

/** No name server is to be asked for the host names that come about. */
const NO_NETWORK = [
  ...["unshare", ...Deno.uid() === 0 ? ["--net"] : ["--net", "--map-root-user"]],
  ...["sh", "-c", 'ip link set lo up && exec "$0" "$@"'],
];

/** What a heap may grow by between two collections, in KiB. */
const HEAP_NOISE = 48 * 1024;

Deno.test(`${CASES} hostile conversations leave the binder as it was`, async () => {
  const address = "127.0.0.1";
  await using binder = await startBinder([`${address}:80`], {
    args: ["--allow", "127.0.0.0:80-90"],
    through: NO_NETWORK,
  });
  const { pid } = binder.program;
  const poller = new Poller();
  using gift = createMemfd("gift");
  using honest = await ControlConnection.open(binder.sock);
  let answers = 0;
  const run = async (cases: number) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(conversations, { minLength: AT_ONCE, maxLength: AT_ONCE }),
        async (crowd) => {
          const outcomes = crowd.map((each) => converse(binder.sock, each, gift, poller));
          for (const line of (await Promise.all(outcomes)).flat()) {
            assertAnswer(line);
            answers++;
          }
          assertStrictEquals((await honest.bind({ address, port: 80 }))?.result, true);
        },
      ),
      { numRuns: Math.ceil(cases / AT_ONCE), endOnFailure: true },
    );
  };
  const memory = () => Number.parseInt(processStatus(pid, "RssAnon") ?? "");
  const countFds = () => openFds(pid).size;
  await run(CASES / 5);
  const before = { memory: memory(), fds: countFds() };
  await run(CASES);
  // One more: the connection by which it is asked.
  await settle(binder.sock, () => countFds() <= before.fds + 1);
  const after = { memory: memory(), fds: countFds() };
  assert(after.memory - before.memory < HEAP_NOISE, JSON.stringify({ before, after }));
  const log = binder.program.stderr;
  assertNotMatch(log, / error | at .*\.js:/);
  assertNotMatch(log, /[^\P{Cc}\n]/u, "control characters in the log");
  assertNotMatch(log, /^.{1000}/m, "a line as long as the client liked");
  const said = `${CASES} conversations, ${answers} answers, memory ${before.memory} to ` +
    `${after.memory} KiB, descriptors ${before.fds} to ${after.fds}\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(said));
  await settled(poller);
});

Deno.test({
  name: "descriptors of every kind, from every kind of peer, leave nothing and stop nobody",
  ignore: ignoreUnless(Deno.uid() === 0, "to be several users needs root"),
  async fn() {
    const address = "127.0.0.1";
    await using binder = await startBinder([`${address}:80`], {
      args: [
        ...["--allow", "127.0.0.1:80-90", "--mode", "0666"],
        ...["--allow-uid", "65533", "--adopt-uid", "65532"],
      ],
      through: NO_NETWORK,
    });
    const { pid } = binder.program;
    const countFds = () => openFds(pid).size;
    await settle(binder.sock, () => true);
    const before = countFds();
    const script = new URL("../support/every_descriptor.py", import.meta.url).pathname;
    // Where the binder is: a socket of another network is refused for that alone.
    const through = ["nsenter", `--net=/proc/${pid}/ns/net`] as const;
    const send = async (uid: string, cases: number) => {
      const seed = crypto.randomUUID();
      await using sender = startProgram(
        [...through, "python3", script, binder.sock, uid, String(cases), seed],
      );
      await sender.waitFor(/done/).catch((error) => {
        throw new Error(`uid ${uid}, seed ${seed}`, { cause: error });
      });
      const [kinds = ""] = await sender.waitFor(/^kinds .*/);
      Deno.stdout.writeSync(new TextEncoder().encode(`uid ${uid}: ${kinds}\n`));
      using honest = await ControlConnection.open(binder.sock);
      assertStrictEquals((await honest.bind({ address, port: 80 }))?.result, true);
    };
    for (const uid of ["0", "65533", "65534"]) await send(uid, Math.ceil(CASES / 30));
    // The binder starts a process for each of these.
    for (let left = Math.ceil(CASES / 300); left > 0; left -= 10) await send("65532", 10);
    // What is truly a listening socket of its address was taken, and can be given up.
    using connection = await ControlConnection.open(binder.sock);
    await connection.send(
      '{"method":"unbind","id":1,"params":[{"address":"127.0.0.1","port":81}]}',
    );
    assertStrictEquals((await connection.receive())?.id, 1);
    await until(() => countFds() <= before + 2);
    assertNotMatch(binder.program.stderr, / error | at .*\.js:/);
  },
});
