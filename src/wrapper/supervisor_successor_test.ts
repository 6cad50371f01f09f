import { assertEquals, assertStrictEquals } from "@std/assert";
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
import type { Event } from "./events.ts";

Deno.test("a snapshot names each generation and its state, oldest first", () => {
  const it = new Scenario();
  assertEquals(it.supervisor.snapshot(), { generations: [], lastNumber: 0 });
  it.serve(10);
  it.replace(10, 20);
  it.startNext(30);
  assertEquals(it.supervisor.snapshot(), {
    generations: [
      { number: 1, pid: 10, state: "draining" },
      { number: 2, pid: 20, state: "serving" },
      { number: 3, pid: 30, state: "starting" },
    ],
    lastNumber: 3,
  });
});

Deno.test("busy from the preparation to the outcome, stopping from the first stop", () => {
  const it = new Scenario();
  const states: [Event, busy: boolean][] = [
    [reload, true],
    [prepared, true],
    [started(10), true],
    [ready(10), false],
    [reload, true],
    [failed, false],
    [reload, true],
    [prepared, true],
    [started(20), true],
    [ready(20), true],
    [timeout("settle", 20), false],
  ];
  for (const [event, busy] of states) {
    it.supervisor.handle(event);
    assertEquals([it.supervisor.busy, it.supervisor.stopping], [busy, false], event.type);
  }
  it.supervisor.handle(stop);
  assertStrictEquals(it.supervisor.stopping, true);

  const late = new Scenario();
  [reload, prepared, started(10)].forEach((event) => late.supervisor.handle(event));
  late.supervisor.handle(timeout("ready", 10));
  assertStrictEquals(late.supervisor.ending, true, "nothing will serve any more");
});

Deno.test("a successor goes on with the generations: drain caps begin anew", () => {
  const before = new Scenario();
  before.serve(10);
  before.replace(10, 20);
  before.replace(20, 30);

  const it = new Scenario();
  const snapshot = before.supervisor.snapshot();
  const actions = it.supervisor.restore(JSON.parse(JSON.stringify(snapshot)));
  assertEquals(actions.flatMap(brief), ["drain timer 10", "drain timer 20"]);
  assertEquals(it.supervisor.snapshot(), snapshot);
  assertEquals([it.supervisor.busy, it.supervisor.stopping], [false, false]);

  it.expect([timeout("drain", 10)], ["kill timer 10", "hard 10"]);
  it.expect([exited(10, KILLED)], []);
  it.expect([reload, prepared], ["prepare", "start #4"]);
  it.expect([started(40)], ["ready timer 40"]);
  it.expect([ready(40), timeout("settle", 40)], [
    "settle timer 40",
    "commit 40",
    "soft 30",
    "drain timer 30",
  ]);
  it.expect([stop], ["soft 40", "drain timer 40"]);
  it.expect([exited(40, OK), exited(30, OK)], []);
  it.expect([exited(20, OK)], ["exit 0"]);
});

Deno.test("a successor kills what was stopped hard, instead of draining it anew", () => {
  const before = new Scenario();
  before.serve(10);
  before.replace(10, 20);
  before.expect([timeout("drain", 10)], ["kill timer 10", "hard 10"]);

  const it = new Scenario();
  const snapshot = before.supervisor.snapshot();
  const actions = it.supervisor.restore(JSON.parse(JSON.stringify(snapshot)));
  assertEquals(actions.flatMap(brief), ["kill timer 10"]);
  assertEquals(it.supervisor.snapshot(), snapshot);
  it.expect([timeout("drain", 10)], []);
  it.expect([timeout("kill", 10)], ["kill 10"]);
  it.expect([exited(10, KILLED)], []);
});

Deno.test("a successor notices that what it was handed has ended meanwhile", () => {
  const before = new Scenario();
  before.serve(10);
  before.replace(10, 20);
  const it = new Scenario();
  it.supervisor.restore(before.supervisor.snapshot());
  it.expect([exited(20, { code: 3 })], ["exit 3"]);
});
