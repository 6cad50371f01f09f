import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { UserError } from "../errors.ts";
import { type BinderState, parseState, STATE_VERSION } from "./state.ts";

const STATE: BinderState = {
  role: "binder",
  version: STATE_VERSION,
  control: { fd: 3, path: "/run/multibinder.sock", file: { device: 1, inode: 2 } },
  held: [
    { address: { transport: "tcp", family: "inet", host: "0.0.0.0", port: 80 }, fd: 4, backlog: 5 },
    {
      address: { transport: "unix", path: "/run/site.sock" },
      fd: 5,
      backlog: 1000,
      file: { device: 1, inode: 3 },
    },
  ],
  own: { ":80": "0.0.0.0:80" },
  rules: {
    policy: { everything: false, hosts: [{ first: 1, last: 2 }], paths: ["/run/*"] },
    access: { own: 0, uids: [1], gids: [2], anyone: false },
    user: { name: "site", uid: 3, gid: 4 },
    owner: { uid: 3 },
  },
  clients: [
    { fd: 6, pending: "e/8=" },
    { fd: 7, pending: "", holds: ["0.0.0.0:80"] },
    { fd: 8, pending: "", owed: null },
  ],
  counters: { connections: 7, requests: 8, errors: 9 },
  upgrades: 10,
  started: 1_700_000_000_000,
  from: "0.1.0",
};

Deno.test("a state is read back as it was written", () => {
  assertEquals(parseState(JSON.stringify(STATE)), STATE);
});

Deno.test("a state of a binder that did not hand over its rules is read", () => {
  const { rules: _, ...older } = STATE;
  assertEquals(parseState(JSON.stringify(older)), older);
});

Deno.test("a state that is newer than this program, or none, is refused", () => {
  const refused: [state: unknown, reason: RegExp][] = [
    [{ ...STATE, version: STATE_VERSION + 1 }, /format 2, and this program knows up to 1/],
    [{ ...STATE, version: undefined }, /format undefined/],
    [{ ...STATE, version: "new" }, /format new/],
    [{ ...STATE, role: "wrapper" }, /a wrapper's state/],
    [{ ...STATE, held: undefined }, /TypeError/],
    [{ ...STATE, held: [{}] }, /TypeError/],
    [{ ...STATE, clients: [{ fd: 6, pending: "!" }] }, /./],
    [null, /TypeError/],
    [[], /./],
  ];
  for (const [state, reason] of refused) {
    const error = assertThrows(() => parseState(JSON.stringify(state)), UserError);
    assertMatch(error.message, /^cannot read the state of the binder before: /);
    assertMatch(error.message, reason);
  }
});

Deno.test("any text is a state or refused", () => {
  const whole = JSON.stringify(STATE);
  for (let length = 0; length < whole.length; length++) {
    assertThrows(() => parseState(whole.slice(0, length)), UserError);
  }
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
    assertThrows(() => parseState(text), UserError);
  }));
});
