import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { damages } from "../../tests/support/damage.ts";
import { UserError } from "../errors.ts";
import { parseWrapperState, WRAPPER_STATE_VERSION, type WrapperState } from "./state.ts";

const STATE: WrapperState = {
  role: "wrapper",
  version: WRAPPER_STATE_VERSION,
  pid: 77,
  generations: {
    generations: [
      { number: 2, pid: 99, state: "draining", isStopped: true },
      { number: 3, pid: 100, state: "draining" },
      { number: 4, pid: 101, state: "serving" },
    ],
    lastNumber: 4,
  },
  sockets: [
    { param: { address: "0.0.0.0", port: 80, backlog: 5 }, fd: 5 },
    { param: { address: "unix:/run/site.sock" }, fd: 6 },
  ],
  binder: "/run/multibinder.sock",
  control: { fd: 7, path: "/run/site.control", file: { device: 1, inode: 2 } },
  clients: [{ fd: 8, pending: "e/8=" }, { fd: 9, pending: "", owed: 1 }],
  lastReload: { at: "2026-01-01T00:00:00.000Z", ok: true, message: "generation 4 serves" },
  counters: {
    succeeded: 4,
    failed: 1,
    lastSuccess: 1_700_000_000_001,
    cut: 1,
    reload: { counts: [5, 0], sum: 1.5 },
    drain: { counts: [0, 2], sum: 90 },
    draining: { "-99": 1_700_000_000_000 },
  },
  metrics: { fd: 10, path: "/run/metrics.sock", file: { device: 1, inode: 3 } },
  upgrades: 10,
  started: 1_700_000_000_000,
  from: "0.1.0",
};

Deno.test("a state is read back as it was written", () => {
  for (
    const state of [STATE, { ...STATE, binder: null, control: null, clients: [], lastReload: null }]
  ) {
    assertEquals(parseWrapperState(JSON.stringify(state)), state);
  }
});

Deno.test("what an older program does not say may be absent, what a newer one says besides is left out", () => {
  assertStrictEquals(parseWrapperState(JSON.stringify({ ...STATE, version: 0 })).version, 0);
  assertEquals(parseWrapperState(JSON.stringify({ ...STATE, later: 1 })), STATE);
  const { binder: _, pid: _pid, counters: _counters, metrics: _metrics, ...older } = STATE;
  assertEquals(parseWrapperState(JSON.stringify(older)), older);
});

Deno.test("whatever is absent, malformed or misplaced is refused, and named", () => {
  const optional =
    /^(pid|binder|counters(\.lastSuccess|\.draining\["-99"\])?|metrics(\.path|\.file)?|.*\.(isStopped|port|backlog|holds|owed))$/;
  const nullable = /^(binder|control|lastReload)$/;
  let refused = 0;
  for (const { at, instead, json } of damages(STATE)) {
    const isRead = instead === undefined && optional.test(at) ||
      instead === null && nullable.test(at) || typeof instead === "string" && at === "binder" ||
      at.endsWith(".sum") && typeof instead === "number" && instead > 0 ||
      at === "metrics.path" && instead === "a text" ||
      // A request's id may be any of these.
      at === "clients[1].owed" && !(typeof instead === "object" && instead || instead === true);
    if (isRead) {
      parseWrapperState(json);
      continue;
    }
    refused++;
    const error = assertThrows(() => parseWrapperState(json), UserError);
    const start = `cannot read the state of the wrapper before: ${at} must be `;
    assertStrictEquals(error.message.slice(0, start.length), start, JSON.stringify(instead));
  }
  assert(refused > 250, `${refused} damages`);
});

Deno.test("a state that says something impossible is refused", () => {
  const refused: [state: unknown, reason: RegExp][] = [
    [{ ...STATE, version: WRAPPER_STATE_VERSION + 1 }, /format 3, and this program knows up to 2/],
    [{ ...STATE, role: "binder" }, /role must be "wrapper"; it is "binder"/],
    [{ ...STATE, clients: [{ fd: 5, pending: "" }] }, /\.fd is 5, as \S+\.fd is/],
    [
      { ...STATE, clients: [{ fd: 6, pending: "!" }] },
      /clients\[0\]\.pending must be bytes in base64/,
    ],
    [null, /it must be an object/],
    [[], /it must be an object/],
  ];
  for (const [state, reason] of refused) {
    const error = assertThrows(() => parseWrapperState(JSON.stringify(state)), UserError);
    assertMatch(error.message, reason);
  }
});

Deno.test("any text is a state or refused", () => {
  const whole = JSON.stringify(STATE);
  for (let length = 0; length < whole.length; length++) {
    assertThrows(() => parseWrapperState(whole.slice(0, length)), UserError);
  }
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
    assertThrows(() => parseWrapperState(text), UserError);
  }));
});
