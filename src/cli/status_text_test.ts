import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describeStatus } from "./status_text.ts";

const NOW = Date.parse("2026-01-02T03:04:05.000Z");
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

Deno.test("a binder's status has a title, a line a value, and a table of its sockets", () => {
  const status = {
    role: "binder",
    version: "1.2.3",
    pid: 12,
    uptimeSeconds: 90_061,
    sock: "/run/multibinder.sock",
    sockets: [
      { address: "0.0.0.0:80", backlog: 1000, queue: { length: 3, limit: 1000 }, holders: [7, 8] },
      { address: "udp:0.0.0.0:443", backlog: 5, holders: [0] },
    ],
    troubles: [{ address: "0.0.0.0:80", kind: "unserved", message: "nobody serves it" }],
    wrappers: [{
      pid: 7,
      service: "/etc/site.cfg",
      self: 1,
      control: "@x",
      generations: [{ number: 1, pid: 8, state: "draining" }, {
        number: 2,
        pid: 9,
        state: "serving",
      }],
      lastReload: { at: ago(5), ok: false, message: "refused" },
    }],
    clients: 2,
    lastUpgrade: { at: ago(3725), ok: true, from: "1.2.2", message: "upgraded" },
  };
  assertEquals(
    describeStatus(status, NOW),
    `binder 1.2.3, pid 12, up 1d 1h
  nobody serves it
  sock          /run/multibinder.sock
  clients       2
  last upgrade  1h 2m ago, at 2026-01-02T02:02:00Z: upgraded

sockets
  address          backlog  queue      holders
  0.0.0.0:80       1000     3 of 1000  7, 8
  udp:0.0.0.0:443  5        -          another container

wrappers
  pid  service        generations                            last reload
  7    /etc/site.cfg  1 draining (pid 8), 2 serving (pid 9)  failed 5s ago, at 2026-01-02T03:04:00Z: refused
`,
  );
});

Deno.test("a wrapper's status says what failed, and who is away", () => {
  const status = {
    role: "wrapper",
    version: "1.2.3",
    pid: 12,
    uptimeSeconds: 0,
    binder: { sock: "/run/x", connected: false },
    spare: { sock: "/run/y", connected: true, handsBack: false },
    sockets: [],
    generations: [
      { number: 1, pid: 8, state: "draining", ageSeconds: 3725, connections: 5 },
      { number: 2, pid: 9, state: "serving", ageSeconds: 5 },
    ],
    lastReload: { at: ago(5), ok: false, message: "refused" },
    lastUpgrade: null,
    somethingNew: { depth: 1, names: ["a", "b"] },
  };
  assertEquals(
    describeStatus(status, NOW),
    `wrapper 1.2.3, pid 12, up 0s
  binder         /run/x, not connected
  spare          /run/y, which takes no sockets back from this user, connected
  sockets        none
  last reload    failed 5s ago, at 2026-01-02T03:04:00Z: refused
  last upgrade   none
  something new  depth 1, names a, b

generations
  number  pid  state     age    connections
  1       8    draining  1h 2m  5
  2       9    serving   5s     -
`,
  );
});

Deno.test("nothing in a status steers the terminal or makes a line of its own", () => {
  const evil = "/x\x1b[2J\r\n0.0.0.0:22\x9b1m\u202e";
  const status = {
    role: evil,
    version: evil,
    pid: evil,
    [evil]: evil,
    list: [evil],
    rows: [{ address: evil, [evil]: { deep: evil } }, { queue: { length: evil, limit: 1 } }],
    outcome: { at: evil, ok: false, message: evil },
    binder: { sock: evil, connected: true },
  };
  const text = describeStatus(status, NOW);
  assertEquals(text.match(/[^\P{Cc}\n]|\u202e/gu), null);
  assertEquals(text.split("\n").filter((line) => /^ *0\.0\.0\.0:22/.test(line)), []);
  assertMatch(text, /\/x\\u001b\[2J\\r\\n0\.0\.0\.0:22\\u009b1m\\u202e/);
});

Deno.test("of thousands of sockets some are shown, and how many more there are", () => {
  const sockets = Array.from({ length: 1000 }, (_, port) => ({ address: `0.0.0.0:${port}` }));
  const troubles = sockets.map(({ address }) => ({ message: `${address}: it is wrong` }));
  const lines = describeStatus({ role: "binder", sockets, troubles }, NOW).split("\n");
  assertEquals(lines.filter((line) => /^ {2}0\.0\.0\.0:\d+$/.test(line)).length, 20);
  assertEquals(lines.filter((line) => line.endsWith("it is wrong")).length, 20);
  assertEquals(lines.filter((line) => line === "  and 980 more").length, 2);
});

Deno.test("an answer that is no status is refused", () => {
  for (const answer of [true, null, "x", [1]]) {
    assertThrows(() => describeStatus(answer, NOW), Error, "the answer is no status");
  }
});
