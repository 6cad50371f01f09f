import { assert, assertEquals } from "@std/assert";
import type { ListedSocket, ServingProcess } from "./socket_list.ts";
import { byTrouble, socketLines, troubleLines } from "./socket_table.ts";

const NOW = Date.parse("2026-01-02T03:04:05.000Z");

function socket(address: string, more: Partial<ListedSocket> = {}): ListedSocket {
  return {
    address,
    type: "tcp",
    state: "serving",
    queue: 0,
    limit: 100,
    drops: 0,
    mended: 0,
    servedBy: [],
    lentTo: [],
    ageSeconds: 3725,
    options: {},
    troubles: [],
    ...more,
  };
}

const server = (more: Partial<ServingProcess> = {}): ServingProcess => {
  return { pid: 9, command: "web", generation: null, unit: null, container: null, ...more };
};

Deno.test("what is wrong comes first, then those in which the most waits", () => {
  const sockets = [
    socket("calm"),
    socket("busy", { queue: 7 }),
    socket("unknown", { state: null, servedBy: null }),
    socket("draining", { state: "draining" }),
    socket("full", { queue: 90, troubles: ["full: nearly full"] }),
    socket("unserved", { state: "unserved" }),
    socket("waiting", { state: "unserved", queue: 1 }),
  ];
  assertEquals(byTrouble(sockets).map(({ address }) => address), [
    "waiting",
    "unserved",
    "full",
    "draining",
    "unknown",
    "busy",
    "calm",
  ]);
  assertEquals(troubleLines(sockets), ["full: nearly full"]);
});

Deno.test("a line a socket, in columns", () => {
  const last = new Date(NOW - 61_000).toISOString();
  const sockets = [
    socket("0.0.0.0:80", {
      queue: 3,
      servedBy: [
        server({ generation: 4, unit: "site.service" }),
        server({ pid: 10 }),
        server({ pid: 11 }),
      ],
      lentTo: [{ pid: 7, uid: 33, count: 2, last }, { pid: 6, uid: 0, count: 1, last }],
    }),
    socket("udp:0.0.0.0:53", {
      type: "udp",
      queue: 2304,
      limit: 212_992,
      drops: 5,
      servedBy: [server({ command: null, generation: 1, container: "0123456789ab" })],
      lentTo: [{ pid: 0, uid: 0, count: 1, last }],
    }),
    socket("unix:/run/a", { type: "unix", drops: null, state: null, servedBy: null }),
    socket("unix:/run/b", { type: "unix", drops: null, state: "unserved", queue: 2 }),
    socket("unix:/run/c", {
      type: "unix",
      servedBy: [server()],
      lentTo: [{ pid: 7, uid: 33, count: 0, last }],
    }),
  ];
  assertEquals(
    socketLines(sockets, NOW).map((line) => line.replace(/ {2,}/g, "  ")),
    [
      "ADDRESS  STATE  QUEUE  LIMIT  DROPS  SERVED BY  LENT TO  AGE",
      "unix:/run/b  unserved  2  100  -  nobody  nobody  1h 2m",
      "unix:/run/a  unknown  0  100  -  unknown  nobody by this binder  1h 2m",
      "udp:0.0.0.0:53  serving  2304 B  212992 B  5  pid 9 (generation 1, container 0123456789ab)  " +
      "another container uid 0, 1x, 1m 1s ago  1h 2m",
      "0.0.0.0:80  serving  3  100  0  web 9 (generation 4, site.service), web 10 and 1 more  " +
      "pid 7 uid 33, 2x, 1m 1s ago and 1 more  1h 2m",
      "unix:/run/c  serving  0  100  0  web 9  pid 7 uid 33, by a binder before  1h 2m",
    ],
  );
});

Deno.test("nothing that others wrote steers the terminal or makes a line of its own", () => {
  const evil = "\x1b[2J\r\n0.0.0.0:22\x9b1m\u202e";
  const lines = [
    ...socketLines([socket(evil, { servedBy: [server({ command: evil, unit: evil })] })], NOW),
    ...troubleLines([socket("a", { troubles: [evil] })]),
  ];
  assertEquals(lines.length, 3);
  for (const line of lines) assert(!/[\p{Cc}\u202e]/u.test(line), line);
});
