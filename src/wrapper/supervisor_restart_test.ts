import { assertEquals } from "@std/assert";
import {
  brief,
  exited,
  failed,
  KILLED,
  OK,
  prepared,
  ready,
  reload,
  Scenario,
  started,
  stop,
  timeout,
} from "../../tests/support/supervisor.ts";
import type { Action } from "./events.ts";

Deno.test("a server that ends by itself passes its exit code on", () => {
  for (const [status, code] of [[OK, 0], [{ code: 3 }, 3], [{ signal: 11 }, 139]] as const) {
    const it = new Scenario();
    it.serve(10);
    it.expect([exited(10, status)], [`exit ${code}`]);
  }
});

Deno.test("a server that ends by itself ends all, whatever still drains or prepares", () => {
  const it = new Scenario();
  it.serve(10);
  it.replace(10, 20);
  it.expect([reload], ["prepare"]);
  it.expect([exited(20, { code: 3 })], ["exit 3"]);
  it.expect([prepared, exited(10, OK), reload, stop], []);
});

Deno.test("a successor that has started takes the place of a server that ends by itself", () => {
  const it = new Scenario();
  it.serve(10);
  it.startNext(20);
  it.expect([exited(10, KILLED)], []);
  it.expect([ready(20)], ["commit 20"]);

  const settling = new Scenario();
  settling.serve(10);
  settling.startNext(20);
  settling.expect([ready(20), exited(10, KILLED)], ["settle timer 20"]);
  settling.expect([timeout("settle", 20)], ["commit 20"]);
});

Deno.test("a successor that cannot take that place either ends all, whatever still drains", () => {
  const it = new Scenario();
  it.serve(5);
  it.replace(5, 10);
  it.startNext(20);
  it.expect([exited(10, KILLED)], []);
  it.expect([exited(20, { code: 3 })], ["rollback", "exit 3"]);

  const late = new Scenario();
  late.serve(5);
  late.replace(5, 10);
  late.startNext(20);
  late.expect([exited(10, KILLED)], []);
  late.expect([timeout("ready", 20)], ["soft 20", "drain timer 20", "rollback"]);
  late.expect([exited(20, KILLED)], ["exit 1"]);
});

/** One that restarts its server, which serves with pid 10; each commit sets a timer. */
function restarting(): Scenario {
  const it = new Scenario({ restart: 1000 });
  it.expect([reload, prepared, started(10)], ["prepare", "start #1", "ready timer 10"]);
  it.expect([ready(10)], ["commit 10", "proven timer 10"]);
  return it;
}

/** The pauses that begin upon an event, in milliseconds. */
function pauses(actions: readonly Action[]): number[] {
  return actions.flatMap((one) =>
    one.do === "timer" && one.then.type === "pause-timeout" ? [one.ms] : []
  );
}

Deno.test("a server that ends again and again is started after growing pauses", () => {
  const it = restarting();
  const seen: number[] = [];
  for (let pid = 10; pid < 16; pid++) {
    seen.push(...pauses(it.supervisor.handle(exited(pid, KILLED))));
    it.expect([timeout("pause", 0)], ["prepare"]);
    it.supervisor.handle(prepared);
    it.expect([started(pid + 1)], [`ready timer ${pid + 1}`]);
    it.expect([ready(pid + 1)], [`commit ${pid + 1}`, `proven timer ${pid + 1}`]);
  }
  assertEquals(seen, [100, 200, 400, 800, 1000, 1000]);
  // One that has proven to stay begins anew.
  it.expect([timeout("proven", 16)], []);
  assertEquals(pauses(it.supervisor.handle(exited(16, { code: 0 }))), [100]);
});

Deno.test("starts that fail count as well, and a reload or a stop ends the pause", () => {
  const it = restarting();
  it.expect([exited(10, KILLED)], ["pause timer 0"]);
  it.expect([timeout("pause", 0)], ["prepare"]);
  const actions = it.supervisor.handle(failed);
  assertEquals([...actions.flatMap(brief), ...pauses(actions)], [
    "rollback",
    "pause timer 0",
    200,
  ]);
  it.expect([reload], ["prepare"]);
  // The end of the pause that the reload has cut.
  it.expect([timeout("pause", 0)], []);
  it.expect([reload, failed], ["rollback", "prepare"]);
  it.expect([failed, stop], ["rollback", "pause timer 0", "exit 137"]);
});

Deno.test("what never served is not started again, and what is prepared takes the place of a server that ends", () => {
  const it = new Scenario({ restart: 1000 });
  it.expect([reload, failed], ["prepare", "rollback", "exit 7"]);

  const preparing = restarting();
  preparing.expect([reload, exited(10, KILLED)], ["prepare"]);
  preparing.expect([prepared, started(20)], ["start #2", "ready timer 20"]);
  preparing.expect([ready(20)], ["commit 20", "proven timer 20"]);
});

Deno.test("a successor in the pause starts the server", () => {
  const it = restarting();
  it.expect([exited(10, KILLED)], ["pause timer 0"]);
  const next = new Scenario({ restart: 1000 });
  assertEquals(next.supervisor.restore(it.supervisor.snapshot()).flatMap(brief), ["prepare"]);
  next.expect([failed], ["rollback", "pause timer 0"]);
});
