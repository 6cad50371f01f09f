/** How a server that multibinder does not know is stopped: by which signals, which of its processes gets them, and when. */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { ANSWER, Scene } from "../support/generic_scene.ts";
import { childrenOf, commandOf, hasEnded, until } from "../support/process_status.ts";
import { ask } from "../support/status.ts";

for (const upgraded of [false, true]) {
  const when = upgraded ? ", also after an upgrade in place" : "";
  Deno.test(`its signals go to the process that it names with MAINPID${when}`, async () => {
    await using binder = await startBinder();
    const script = ANSWER(`
child = os.fork()
if child:
    notify("MAINPID=%d" % child)
    notify("READY=1")
    os.waitpid(child, 0)
    os._exit(5)
`);
    await using scene = new Scene(binder.sock, script, ["--ready-notify"]);
    const { pid } = await scene.wrapper.serving();
    const child = (await scene.given()).pid;
    assertEquals(childrenOf(pid), [child]);
    if (upgraded) assertStrictEquals((await ask("upgrade", scene.wrapper.control)).code, 0);
    assertStrictEquals((await scene.wrapper.program.end("SIGTERM")).code, 5);
    assertStrictEquals(commandOf(child), undefined);
  });
}

Deno.test("--stop-signal and --kill-signal are what it gets", async () => {
  await using binder = await startBinder();
  const script = ANSWER(`
import signal
signal.signal(signal.SIGHUP, lambda *_: print("stop", flush=True))
signal.signal(signal.SIGQUIT, lambda *_: os._exit(6))
notify("READY=1")
`);
  const args = ["--ready-notify", "--stop-signal", "HUP", "--kill-signal", "SIGQUIT"];
  await using scene = new Scene(binder.sock, script, args);
  await scene.wrapper.serving();
  const { program } = scene.wrapper;
  program.signal("SIGTERM");
  await program.waitFor(/^stop$/);
  assertStrictEquals((await program.end("SIGTERM")).code, 6);
});

Deno.test("one that may not have heard that it is to stop is told again, until it closes its sockets", async () => {
  await using binder = await startBinder();
  const script = ANSWER(`
import signal
heard = 0
def stop(*_):
    global heard
    heard += 1
    print("heard", heard, flush=True)
    if heard == 3:
        os._exit(7)
    if heard == 2:
        os.close(3)
        time.sleep(1.5)
        os._exit(6)
signal.signal(signal.SIGQUIT, stop)
notify("READY=1")
`);
  await using scene = new Scene(binder.sock, script, ["--ready-notify", "--server", "unicorn"]);
  await scene.wrapper.serving();
  assertStrictEquals((await scene.wrapper.program.end("SIGTERM")).code, 6);
});

Deno.test("one that obeys no signal is killed with its workers", async () => {
  await using binder = await startBinder();
  const script = ANSWER(`
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    notify("READY=1")
    while True: time.sleep(1000)
`);
  const args = ["--ready-notify", "--kill-signal", "TERM", "--drain", "100ms"];
  await using scene = new Scene(binder.sock, script, args);
  const { pid } = await scene.wrapper.serving();
  const worker = (await scene.given()).pid;
  assertEquals(childrenOf(pid), [worker]);
  assertStrictEquals((await scene.wrapper.program.end("SIGTERM")).code, 137);
  await until(() => hasEnded(worker));
});
