import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import "../../tests/support/libc.ts";
import { damages } from "../../tests/support/damage.ts";
import { UserError } from "../errors.ts";
import { type BinderState, parseState, STATE_VERSION } from "./state.ts";

const STATE: BinderState = {
  role: "binder",
  version: STATE_VERSION,
  pid: 77,
  control: { fd: 3, path: "/run/multibinder.sock", file: { device: 1, inode: 2 } },
  held: [
    { address: { transport: "tcp", family: "inet", host: "0.0.0.0", port: 80 }, fd: 4, backlog: 5 },
    {
      address: { transport: "unix", path: "/run/site.sock" },
      fd: 5,
      backlog: 1000,
      file: { device: 1, inode: 3 },
      since: 1_700_000_000_001,
      lent: [{ pid: 0, uid: 33, count: 2, last: 1_700_000_000_002 }],
    },
  ],
  own: { ":80": "0.0.0.0:80" },
  configured: ["unix:/run/site.sock"],
  rules: {
    policy: { everything: false, hosts: [{ host: "*", first: 1, last: 2 }], paths: ["/run/*"] },
    access: { own: 0, uids: [1], gids: [2], anyone: false, adopters: [3] },
    user: { name: "site", uid: 3, gid: 4 },
    owner: { uid: 3 },
  },
  clients: [
    { fd: 6, pending: "e/8=" },
    { fd: 7, pending: "", holds: ["0.0.0.0:80"] },
    { fd: 8, pending: "", owed: null },
  ],
  counters: { connections: 7, requests: 8, errors: 9 },
  counted: { binds: 10, refusals: { "a-code": 11 } },
  metrics: { fd: 9, path: "/run/metrics.sock", file: { device: 1, inode: 4 } },
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

Deno.test("what an older program does not say may be absent, what a newer one says besides is left out", () => {
  const newer = { ...STATE, later: 1, held: STATE.held.map((one) => ({ ...one, later: 2 })) };
  assertEquals(parseState(JSON.stringify(newer)), STATE);
  const older: object = { ...STATE, rules: undefined, configured: undefined, pid: undefined };
  assertEquals(parseState(JSON.stringify(older)), JSON.parse(JSON.stringify(older)));
});

Deno.test("an address for both families has its new text, whoever names it", () => {
  const dual = { transport: "tcp", family: "dual", host: "*", port: 80 };
  const before = {
    ...STATE,
    version: 1,
    held: [{ address: dual, fd: 4, backlog: 5 }],
    own: { "*:80": "*:80", ":1": "0.0.0.0:1" },
    configured: ["udp:*:53", "unix:/*:1"],
    clients: [{ fd: 6, pending: "", holds: ["*:80"] }],
  };
  const { own, configured, clients, held } = parseState(JSON.stringify(before));
  assertEquals(own, { "*:80": "[::]:80,v4v6", ":1": "0.0.0.0:1" });
  assertEquals(configured, ["udp:[::]:53,v4v6", "unix:/*:1"]);
  assertEquals(clients[0]?.holds, ["[::]:80,v4v6"]);
  assertEquals<unknown>(held[0]?.address, dual);
});

Deno.test("whatever is absent, malformed or misplaced is refused, and named", () => {
  const optional =
    /^(pid|configured|counted(\.refusals\["a-code"\])?|metrics(\.path|\.file)?|rules|rules\.user|rules\.access\.adopters|rules\.owner\.[ug]id|held\[1\]\.(file|since|lent|address\.padded)|clients\[\d\]\.(holds|owed)|rules\.policy\.hosts\[0\]\.host)$/;
  let refused = 0;
  for (const { at, instead, json } of damages(STATE)) {
    const isRead = instead === undefined && optional.test(at) ||
      // A request's id may be any of these.
      at === "clients[2].owed" && !(typeof instead === "object" || instead === true) ||
      at === 'own[":80"]' && instead === undefined;
    if (isRead) {
      parseState(json);
      continue;
    }
    refused++;
    const error = assertThrows(() => parseState(json), UserError);
    const [, named = ""] =
      /^cannot read the state of the binder before: (\S+) must be /.exec(error.message) ?? [];
    assert(isWithin(at, named), `${at}=${JSON.stringify(instead)}: ${error.message}`);
  }
  assert(refused > 300, `${refused} damages`);
});

/** An address is refused as a whole where its parts do not fit each other. */
function isWithin(at: string, named: string): boolean {
  return at === named || at.startsWith(named) && /\.address$/.test(named);
}

Deno.test("a state that says something impossible is refused", () => {
  const [first, second] = STATE.held;
  const refused: [state: unknown, reason: RegExp][] = [
    [{ ...STATE, version: STATE_VERSION + 1 }, /format 3, and this program knows up to 2/],
    [{ ...STATE, role: "wrapper" }, /role must be "binder"; it is "wrapper"/],
    [{ role: "binder", version: 1, held: [], clients: [] }, /upgrades must be/],
    [{ ...STATE, held: [first, { ...second, fd: 4 }] }, /held\[1\]\.fd is 4, as held\[0\]\.fd is/],
    [{ ...STATE, clients: [{ fd: 3, pending: "" }] }, /\.fd is 3, as \S+ is/],
    [{ ...STATE, clients: [{ fd: 2, pending: "" }] }, /clients\[0\]\.fd must be .* from 3/],
    [
      { ...STATE, clients: [{ fd: 6, pending: "!" }] },
      /clients\[0\]\.pending must be bytes in base64/,
    ],
    [
      { ...STATE, held: [{ ...first, address: { ...first?.address, host: "localhost" } }] },
      /written in numbers/,
    ],
    [
      { ...STATE, held: [{ ...first, address: { ...first?.address, family: "inet6" } }] },
      /held\[0\]\.address/,
    ],
    [
      { ...STATE, held: [{ ...first, address: { transport: "unix", path: "relative" } }] },
      /held\[0\]\.address/,
    ],
    [null, /it must be an object/],
    [[], /it must be an object/],
  ];
  for (const [state, reason] of refused) {
    const error = assertThrows(() => parseState(JSON.stringify(state)), UserError);
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
