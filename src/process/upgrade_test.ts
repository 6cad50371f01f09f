import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { Children } from "./children.ts";
import { UserError } from "../errors.ts";
import { createLog } from "../log.ts";
import { Notifier } from "../systemd/notify.ts";
import { RPC, RpcError } from "../control/messages.ts";
import { Upgrade, type UpgradeContext } from "./upgrade.ts";
import { VERSION } from "../version.ts";

/** An upgrade whose successor is no program: executing it always fails, and so ends the attempt. */
class Scene implements Disposable {
  readonly log: string[] = [];
  readonly children = new Children();
  /** What happened, in its order. */
  readonly events: string[] = [];
  readonly kept: (readonly Fd[])[] = [];
  readonly blocked = new Set<string>();
  readonly upgrade: Upgrade;
  /** The ends of what is under way, one after the other. */
  readonly ends: PromiseWithResolvers<void>[] = [];
  /** How often it was asked whether something is under way. */
  asked = 0;
  /** How the check ends. */
  checked: Promise<string> = Promise.resolve("9.9.9");

  constructor(context: Partial<UpgradeContext> = {}) {
    let states = 0;
    const log = createLog({ format: "text", level: "debug" }, (line) => this.log.push(line));
    const full: UpgradeContext = {
      log,
      notifier: new Notifier(new Poller(), log, {}),
      children: this.children,
      underWay: () => {
        this.asked++;
        return this.ends[0]?.promise;
      },
      patience: 20_000,
      givesWay: false,
      handOver: () => ({ state: `state ${++states}`, keep: [new Fd(states)] }),
      ...context,
    };
    this.upgrade = new Upgrade(full, {
      check: (state) => {
        this.events.push(`check ${state}`);
        return this.checked;
      },
      become: (state, keep, blocked) => {
        this.events.push(`become ${state}`);
        this.kept.push(keep);
        blocked.forEach((signal) => this.blocked.add(signal));
        throw new Error("execve: Text file busy (ETXTBSY)");
      },
    });
  }

  /** Asks for an upgrade. @returns why it failed */
  async attempt(): Promise<string> {
    try {
      return await this.upgrade.request();
    } catch (error) {
      assert(error instanceof RpcError);
      assertStrictEquals(error.body.code, RPC.failed);
      return error.message;
    }
  }

  [Symbol.dispose](): void {
    this.children[Symbol.dispose]();
  }
}

/** Lets the event loop turn so often that whatever polls would have done so: nothing else shows that nothing happens. */
async function turns(): Promise<void> {
  for (let left = 20; left > 0; left--) await new Promise((resolve) => setTimeout(resolve, 1));
}

const GIVEN_UP = `upgrade failed, ${VERSION} goes on: execve: Text file busy (ETXTBSY)`;

Deno.test("the successor is checked, then gets a state that is still true", async () => {
  using scene = new Scene();
  assertStrictEquals(await scene.attempt(), GIVEN_UP);
  assertEquals(scene.events, ["check state 1", "become state 2"]);
  assertEquals(scene.kept.map((fds) => fds.map(({ number }) => number)), [[2]]);
  assert(scene.log.some((line) => line.includes(`upgrading from=${VERSION} to=9.9.9`)));
});

Deno.test("every signal that one of the roles listens for waits for the successor", async () => {
  using scene = new Scene();
  await scene.attempt();
  const signals = ["SIGCHLD", "SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"];
  assertEquals([...scene.blocked].sort(), signals);
});

Deno.test("what fails is told, logged and shown, and the next attempt is made", async () => {
  using scene = new Scene();
  assertEquals(scene.upgrade.describe(), { upgrades: 0, lastUpgrade: null });
  scene.checked = Promise.reject(new UserError("it failed its self-check (signal 11)"));
  const why = "it failed its self-check (signal 11)";
  assertStrictEquals(await scene.attempt(), `upgrade failed, ${VERSION} goes on: ${why}`);
  assertEquals(scene.events, ["check state 1"], "it is not executed");
  const { upgrades, lastUpgrade } = scene.upgrade.describe();
  assertStrictEquals(upgrades, 0);
  const { at = "", ...rest } = lastUpgrade ?? {};
  assert(Date.parse(at) > 0);
  assertEquals(rest, { ok: false, from: VERSION, message: why });
  assert(scene.log.some((line) => /error upgrade failed, the old version goes on/.test(line)));

  scene.checked = Promise.resolve("9.9.9");
  assertStrictEquals(await scene.attempt(), GIVEN_UP);
});

Deno.test("a state that cannot be given keeps the upgrade from its beginning", async () => {
  using scene = new Scene({
    handOver: () => {
      throw new UserError("the wrapper is stopping");
    },
  });
  const why = "the wrapper is stopping";
  assertStrictEquals(await scene.attempt(), `upgrade failed, ${VERSION} goes on: ${why}`);
  assertEquals(scene.events, []);
});

Deno.test("one upgrade at a time", async () => {
  using scene = new Scene();
  const check = Promise.withResolvers<string>();
  scene.checked = check.promise;
  const first = scene.attempt();
  assertStrictEquals(await scene.attempt(), "an upgrade is under way already");
  check.resolve("9.9.9");
  assertStrictEquals(await first, GIVEN_UP);
  assertStrictEquals(await scene.attempt(), GIVEN_UP);
});

Deno.test("what is under way is waited for", async () => {
  for (const givesWay of [false, true]) {
    using scene = new Scene({ givesWay });
    scene.ends.push(Promise.withResolvers(), Promise.withResolvers());
    const attempt = scene.attempt();
    for (let end = scene.ends[0]; end; end = scene.ends[0]) {
      await turns();
      const { asked } = scene;
      await turns();
      assertStrictEquals(scene.asked, asked, "it is told, and does not ask again and again");
      assertEquals(scene.events, ["check state 1"]);
      scene.ends.shift();
      end.resolve();
    }
    assertStrictEquals(await attempt, GIVEN_UP);
    assertEquals(scene.events, ["check state 1", "become state 2"]);
  }
});

Deno.test("when it does not end in time it is given up, or the upgrade is", async () => {
  const underWay = () => new Promise<void>(() => {});
  using goesOn = new Scene({ underWay, patience: 5 });
  assertStrictEquals(await goesOn.attempt(), GIVEN_UP);
  assertEquals(goesOn.events, ["check state 1", "become state 2"]);

  using gives = new Scene({ underWay, patience: 5, givesWay: true });
  assertMatch(await gives.attempt(), /a reload is under way; try again after it$/);
  assertEquals(gives.events, ["check state 1"]);
});

Deno.test("a successor says from what it came, and counts", () => {
  using scene = new Scene();
  const outcome = scene.upgrade.succeeded("0.0.1", 7);
  assertEquals(scene.upgrade.describe(), { upgrades: 7, lastUpgrade: outcome });
  const { at, ...rest } = outcome;
  assert(Date.parse(at) > 0);
  const message = `upgraded from 0.0.1 to ${VERSION}`;
  assertEquals(rest, { ok: true, from: "0.0.1", to: VERSION, message });
});

Deno.test("a program that runs from source says that it cannot be upgraded", async () => {
  using children = new Children();
  const log = createLog({ format: "text", level: "error" }, () => {});
  const upgrade = new Upgrade({
    log,
    children,
    notifier: new Notifier(new Poller(), log, {}),
    underWay: () => undefined,
    patience: 0,
    givesWay: false,
    handOver: () => ({ state: "", keep: [] }),
  });
  await assertRejects(() => upgrade.request(), RpcError, /needs the compiled binary/);
});
