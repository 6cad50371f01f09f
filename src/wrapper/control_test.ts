import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
  fail,
} from "@std/assert";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { acceptSocket, connectUnix } from "../../ffi/socket.ts";
import { Children } from "../process/children.ts";
import { ControlClient } from "../control/client.ts";
import { NoBinderError, RefusedError } from "../control/client_errors.ts";
import { createLog } from "../log.ts";
import { Notifier } from "../systemd/notify.ts";
import { Channel } from "../control/channel.ts";
import { listenOn } from "../control/control_socket.ts";
import { RPC } from "../control/messages.ts";
import { VERSION } from "../version.ts";
import type { HeldSocket } from "./sockets.ts";
import { Control } from "./control.ts";
import { Counters } from "./counters.ts";
import { Reloads } from "./reloads.ts";
import type { Sockets } from "./sockets.ts";
import { WRAPPER_STATE_VERSION, type WrapperState } from "./state.ts";
import type { Action, Event } from "./events.ts";
import { Supervisor } from "./supervisor.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();

/** A wrapper without a server: the test tells its supervisor what happens. */
class Scene {
  readonly log: string[] = [];
  readonly supervisor = new Supervisor({
    ready: LONG,
    settle: 0,
    drain: LONG,
    maxRetired: 5,
    stopDelay: 0,
    restart: 0,
  });
  readonly reloads = new Reloads();
  readonly counters = new Counters();
  readonly served: HeldSocket[] = [];
  readonly children = new Children();
  readonly control: Control;

  constructor(readonly path: string | undefined) {
    const nothing = () => {};
    const sockets: Sockets = {
      binder: { sock: "/run/multibinder.sock", connected: false },
      served: this.served,
      prepare: () => Promise.resolve([]),
      commit: nothing,
      rollback: nothing,
      restore: () => Promise.resolve(),
      tell: nothing,
      stop: nothing,
      close: nothing,
    };
    const log = createLog({ format: "text", level: "info" }, (line) => this.log.push(line));
    this.control = new Control({
      path,
      metrics: undefined,
      poller,
      children: this.children,
      log,
      notifier: new Notifier(poller, log, {}),
      supervisor: this.supervisor,
      sockets,
      reloads: this.reloads,
      counters: this.counters,
      service: "/etc/site.cfg.eta",
      outputs: () => [],
      reload: () => {
        const outcome = this.reloads.outcome(this.supervisor.busy);
        this.tell({ type: "reload" });
        return outcome;
      },
      stop: () => this.tell({ type: "stop" }),
      underWay: () => undefined,
      handOver: () => ({}),
    });
  }

  tell(...events: Event[]): void {
    for (const event of events) this.#perform(this.supervisor.handle(event));
  }

  /** Brings up the first generation. */
  serve(pid: number): void {
    this.tell({ type: "reload" });
    this.succeed(pid);
  }

  /** Lets the start or reload under way succeed. */
  succeed(pid: number): void {
    this.tell(
      { type: "prepared", preparation: { sockets: [], env: {}, hide: String } },
      { type: "started", pid },
      {
        type: "ready",
        pid,
      },
    );
  }

  fail(why: string): void {
    this.tell({ type: "failed", why, exitCode: 1 });
  }

  connect(): ControlClient {
    return ControlClient.connect(this.path ?? "", poller);
  }

  #perform(actions: readonly Action[]): void {
    for (const action of actions) {
      if (action.do === "outcome") this.reloads.finished(action.ok, action.message);
    }
  }
}

/** Runs `test` with a wrapper that listens, twice; it must leave no descriptor open. */
async function withControl(test: (scene: Scene, client: ControlClient) => Promise<void>) {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const scene = new Scene(folder.file("control.sock"));
    using _children = scene.children;
    await scene.control.listen();
    try {
      using client = scene.connect();
      await test(scene, client);
    } finally {
      scene.control.close();
      await settled(poller);
    }
  });
}

/** Fails a request, with this sentence. */
async function refuses(request: Promise<unknown>, message: RegExp, code: number = RPC.failed) {
  const error = await assertRejects(() => request, RefusedError, message);
  assertStrictEquals(error.code, code);
}

/** Waits until a request made before is with its handler. */
async function isAsked(scene: Scene): Promise<void> {
  using other = scene.connect();
  await other.call("status", []);
}

Deno.test("the control socket is for the wrapper's own user, and gone with it", () =>
  withControl(async (scene) => {
    const path = scene.path ?? "";
    assertStrictEquals((Deno.lstatSync(path).mode ?? 0) & 0o777, 0o600);
    scene.control.close();
    assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
    await scene.control.listen();
  }));

Deno.test("where no path was asked for it has a name of its own, for root and its own user", async () => {
  await leavesNoDescriptors(async () => {
    const [first, second] = [new Scene(undefined), new Scene(undefined)];
    const scenes = [first, second];
    for (const { control } of scenes) await control.listen();
    assertNotEquals(first.control.path, second.control.path);
    for (const { control } of scenes) {
      assertMatch(control.path ?? "", /^@multibinder-/);
      using client = ControlClient.connect(control.path ?? "", poller);
      assertObjectMatch(Object(await client.call("status", [])), { role: "wrapper" });
    }
    for (const { control, children } of scenes) {
      control.close();
      children[Symbol.dispose]();
      assertThrows(() => ControlClient.connect(control.path ?? "", poller), NoBinderError);
    }
    await settled(poller);
  });
});

Deno.test("a stop is answered before it begins", () =>
  withControl(async (scene, client) => {
    scene.serve(1);
    assertEquals(await client.call("stop", []), "stopping");
    await until(() => scene.supervisor.stopping);
  }));

Deno.test("status shows what serves, and how the last reload went", () =>
  withControl(async (scene, client) => {
    // No process has such a pid: nothing is known of its age.
    const pid = 2 ** 30;
    scene.serve(pid);
    scene.tell({ type: "reload" });
    scene.fail("bad config");
    using fd = createMemfd("socket");
    scene.served.push({ param: { address: "0.0.0.0", port: 80 }, fd });
    const status = await client.call("status", []);
    const { uptimeSeconds, ...rest } = Object(status);
    assert(uptimeSeconds >= 0);
    assertEquals(rest, {
      role: "wrapper",
      version: VERSION,
      pid: Deno.pid,
      service: "/etc/site.cfg.eta",
      binder: { sock: "/run/multibinder.sock", connected: false },
      sockets: [{ address: "0.0.0.0:80" }],
      generations: [{ number: 1, pid, state: "serving", ageSeconds: null }],
      lastReload: { at: scene.reloads.last?.at, ok: false, message: "bad config" },
      upgrades: 0,
      lastUpgrade: null,
    });
  }));

Deno.test("a reload is answered with its own outcome", () =>
  withControl(async (scene, client) => {
    scene.serve(10);
    const good = client.call("reload", []);
    await isAsked(scene);
    scene.succeed(20);
    assertStrictEquals(await good, "generation 2 serves");

    const bad = refuses(client.call("reload", []), /^reload failed: bad config$/);
    await isAsked(scene);
    scene.fail("bad config");
    await bad;
  }));

Deno.test("a reload during another one is told the outcome of the next", () =>
  withControl(async (scene, client) => {
    scene.serve(10);
    scene.tell({ type: "reload" });
    const next = client.call("reload", []);
    await isAsked(scene);
    scene.fail("bad config");
    scene.succeed(20);
    assertStrictEquals(await next, "generation 2 serves");
  }));

Deno.test("a wrapper that is stopping neither reloads nor upgrades", () =>
  withControl(async (scene, client) => {
    scene.serve(10);
    scene.tell({ type: "stop" });
    await refuses(client.call("reload", []), /^the wrapper is stopping$/);
    await refuses(client.call("upgrade", []), /^upgrade failed, .* the wrapper is stopping$/);
    const { lastUpgrade } = Object(await client.call("status", []));
    assertStrictEquals(lastUpgrade.ok, false);
  }));

Deno.test("a wrapper whose only generation did not come up is stopping", () =>
  withControl(async (scene, client) => {
    scene.tell({ type: "reload" }, {
      type: "prepared",
      preparation: { sockets: [], env: {}, hide: String },
    }, {
      type: "started",
      pid: 10,
    });
    scene.tell({ type: "ready-timeout", pid: 10 });
    await refuses(client.call("reload", []), /^the wrapper is stopping$/);
  }));

Deno.test("an upgrade that fails is answered, by request as by signal", () =>
  withControl(async (scene, client) => {
    scene.serve(10);
    await refuses(client.call("upgrade", []), /this runs from source$/);
    scene.control.upgrade();
    await client.call("status", []);
    assertStrictEquals(scene.log.filter((line) => line.includes("error upgrade failed")).length, 2);
  }));

Deno.test("an unknown method is refused", () =>
  withControl((_, client) =>
    refuses(client.call("nope", []), /answers "Method not found: nope": /, RPC.methodNotFound)
  ));

Deno.test("a successor serves the control socket and its connections, and answers the upgrade", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const path = folder.file("control.sock");
    const socket = listenOn(path, 0o600);
    const scene = new Scene(path);
    using _children = scene.children;
    // One end of each connection, as a program before would have accepted it.
    const ends = [0, 1].map(() => connectUnix(path));
    const accepted = ends.map(() => acceptSocket(socket.fd) ?? fail());
    const [asked, idle] = ends.map((fd) => new Channel(fd, poller));
    const state: WrapperState = {
      role: "wrapper",
      version: WRAPPER_STATE_VERSION,
      generations: { generations: [{ number: 3, pid: 10, state: "serving" }], lastNumber: 3 },
      sockets: [],
      control: { ...socket, fd: socket.fd.number },
      clients: accepted.map(({ number }, index) => ({
        fd: number,
        pending: "",
        ...(index === 0 && { owed: "u" }),
      })),
      lastReload: null,
      upgrades: 7,
      started: Date.now() - 100_000,
      from: "0.0.1",
    };
    scene.supervisor.restore(state.generations);
    await scene.control.resume(state);
    const { id, result } = JSON.parse(await asked?.receive(LONG) ?? "");
    assertStrictEquals(id, "u");
    assertEquals([result.ok, result.from, result.to], [true, "0.0.1", VERSION]);

    await idle?.send({ id: 1, method: "status" }, [], LONG);
    const status = JSON.parse(await idle?.receive(LONG) ?? "").result;
    assert(status.uptimeSeconds >= 100, "since the first of these programs");
    assertStrictEquals(status.upgrades, 7);
    assertEquals(status.lastUpgrade, result);
    using client = scene.connect();
    await client.call("status", []);

    [asked, idle].forEach((channel) => channel?.close());
    scene.control.close();
    assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
    await settled(poller);
  });
});
