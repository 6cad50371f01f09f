import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { UserError } from "../errors.ts";
import { parseWrapperState, WRAPPER_STATE_VERSION, type WrapperState } from "./state.ts";

const STATE: WrapperState = {
  role: "wrapper",
  version: WRAPPER_STATE_VERSION,
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

Deno.test("a state of an older format is read", () => {
  assertStrictEquals(parseWrapperState(JSON.stringify({ ...STATE, version: 0 })).version, 0);
  const { binder: _, ...older } = STATE;
  assertEquals(parseWrapperState(JSON.stringify(older)), older);
});

Deno.test("a state that is newer than this program, another role's, or none, is refused", () => {
  const refused: [state: unknown, reason: RegExp][] = [
    [{ ...STATE, version: WRAPPER_STATE_VERSION + 1 }, /format 2, and this program knows up to 1/],
    [{ ...STATE, version: undefined }, /format undefined/],
    [{ ...STATE, version: "new" }, /format new/],
    [{ ...STATE, role: "binder" }, /a binder's state/],
    [{ ...STATE, clients: undefined }, /TypeError/],
    [{ ...STATE, clients: [{ fd: 6, pending: "!" }] }, /./],
    [null, /TypeError/],
    [[], /./],
  ];
  for (const [state, reason] of refused) {
    const error = assertThrows(() => parseWrapperState(JSON.stringify(state)), UserError);
    assertMatch(error.message, /^cannot read the state of the wrapper before: /);
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
