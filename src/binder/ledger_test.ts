import { assertEquals } from "@std/assert";
import "../../tests/support/libc.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";
import { listen } from "../sockets/listen.ts";
import { Ledger } from "./ledger.ts";

function held() {
  const socket = listen(
    { transport: "tcp", family: "inet", host: loopbackHost(), port: 0 },
    1,
  );
  socket.fd.close();
  return { ...socket, backlog: 1, since: 0 };
}

Deno.test("each process that was handed a socket is noted once, the latest first", () => {
  const ledger = new Ledger();
  const [one, other] = [held(), held()];
  assertEquals(ledger.of(one), []);
  ledger.lend(one, { pid: 7, uid: 1 }, 100);
  ledger.lend(one, { pid: 8, uid: 1 }, 200);
  ledger.lend(one, { pid: 7, uid: 2 }, 300);
  ledger.lend(one, { pid: 7, uid: 1 }, 400);
  assertEquals(ledger.of(one), [
    { pid: 7, uid: 1, count: 2, last: 400 },
    { pid: 7, uid: 2, count: 1, last: 300 },
    { pid: 8, uid: 1, count: 1, last: 200 },
  ]);
  assertEquals(ledger.of(other), []);
  ledger.handedBack(one, { pid: 9, uid: 1 }, 500);
  ledger.handedBack(one, { pid: 7, uid: 1 }, 600);
  ledger.handedBack(one, { pid: 9, uid: 1 }, 700);
  assertEquals(ledger.of(one).slice(0, 2), [
    { pid: 9, uid: 1, count: 0, last: 500 },
    { pid: 7, uid: 1, count: 2, last: 400 },
  ]);
  ledger.lend(one, { pid: 9, uid: 1 }, 800);
  assertEquals(ledger.of(one)[0], { pid: 9, uid: 1, count: 1, last: 800 });
  ledger.restore(other, ledger.of(one));
  assertEquals(ledger.of(other), ledger.of(one));
});

Deno.test("clients that ask and end are forgotten, the eldest first", () => {
  const ledger = new Ledger();
  const one = held();
  for (let pid = 1; pid <= 1000; pid++) ledger.lend(one, { pid, uid: 0 }, pid);
  assertEquals(ledger.of(one).map(({ pid }) => pid), [1000, 999, 998, 997, 996, 995, 994, 993]);
});
