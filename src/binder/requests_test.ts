import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
  fail,
} from "@std/assert";
import type { Fd } from "../../ffi/fd.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { acceptQueue, socketCookie } from "../../ffi/socket.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import {
  type LocalBinder,
  type LocalBinderOptions,
  startLocalBinder,
} from "../../tests/support/local_binder.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { freePort, loopbackHost, type TempDir, tempDir } from "../../tests/support/temp_dir.ts";
import { resolveAddress } from "../sockets/address.ts";
import { ControlClient } from "../control/client.ts";
import { NoBinderError, RefusedError } from "../control/client_errors.ts";
import { optionsOf } from "../sockets/kernel_options.ts";
import { listen } from "../sockets/listen.ts";
import type { Caller } from "../control/handler.ts";
import { type BindParam, RPC } from "../control/messages.ts";
import { Requests, type Resources } from "./requests.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();

interface Scene {
  binder: LocalBinder;
  folder: TempDir;
  connect: () => ControlClient;
  /** A listening socket that the binder does not know; it is closed at the end. */
  listenOn: (param: BindParam, backlog?: number) => Promise<Fd>;
}

/** Runs `test` with a binder; twice, and it must leave no descriptor open. */
async function withBinder(
  test: (scene: Scene) => Promise<void>,
  options: LocalBinderOptions = {},
): Promise<void> {
  await leavesNoDescriptors(async () => {
    using open = new DisposableStack();
    using folder = tempDir();
    const sock = folder.file("sock");
    await using binder = await startLocalBinder(sock, options);
    await test({
      binder,
      folder,
      connect: () => open.use(ControlClient.connect(sock, poller)),
      listenOn: async (param, backlog = 10) =>
        open.use(listen(await resolveAddress(param), backlog, param.options).fd),
    });
    open.dispose();
    await settled(poller);
  });
}

function params(count: number): [BindParam, ...BindParam[]] {
  const address = loopbackHost();
  const [first, ...rest] = Array.from({ length: count }, (_, index) => {
    return { address, port: 8000 + index };
  });
  return first ? [first, ...rest] : fail();
}

const cookies = (fds: readonly Fd[]) => fds.map(socketCookie);
const heldCookies = (binder: LocalBinder) => cookies(binder.held().map(({ fd }) => fd));

/** What a bind gives, by its cookies. */
async function bound(client: ControlClient, wanted: readonly BindParam[]): Promise<bigint[]> {
  const fds = await client.bind(wanted);
  const found = cookies(fds);
  fds.forEach((fd) => fd.close());
  return found;
}

Deno.test("a socket handed back is that very socket for the next client", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const wanted = params(2);
    const sockets = [await listenOn(wanted[0]), await listenOn(wanted[1] ?? wanted[0])];
    assertEquals(await connect().adopt(wanted, sockets), ["adopted", "adopted"]);
    assertEquals(heldCookies(binder), cookies(sockets));
    sockets.forEach((socket) => socket.close());
    assertEquals(await bound(connect(), wanted), heldCookies(binder));
  });
});

Deno.test("every transport can be handed back", async () => {
  await withBinder(async ({ binder, connect, folder, listenOn }) => {
    const path = folder.file("site.sock");
    const address = loopbackHost();
    const wanted = [{ address: `unix:${path}` }, { address: `udp:${address}`, port: 8000 }];
    const sockets = [];
    for (const param of wanted) sockets.push(await listenOn(param));
    assertEquals(await connect().adopt(wanted, sockets), ["adopted", "adopted"]);
    assertEquals(await bound(connect(), wanted), cookies(sockets));
    binder.registry.close();
    assertThrows(
      () => Deno.lstatSync(path),
      Deno.errors.NotFound,
      undefined,
      "its file goes with it",
    );
  });
});

Deno.test("two clients that hold the same socket give it back once", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const [param] = params(1);
    using socket = await listenOn(param);
    using copy = socket.duplicate();
    const [first, second] = [connect(), connect()];
    assertEquals(await first.adopt([param], [socket]), ["adopted"]);
    assertEquals(await second.adopt([param], [copy]), ["held"]);
    assertEquals(await first.adopt([param, param], [socket, copy]), ["held", "held"]);
    assertStrictEquals(binder.held().length, 1);
    assertStrictEquals(binder.server.clients.attached.length, 2);
  });
});

Deno.test("who hands back a socket is shown as one that has it, though not from this binder", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const [stored, mine] = params(2);
    assert(mine);
    using own = await listenOn(mine);
    using copy = await listenOn(stored);
    // As one is that systemd has kept over a restart.
    const address = await resolveAddress(stored);
    binder.registry.add({ address, fd: copy.duplicate(), backlog: 10, since: 0 });
    assertEquals(await connect().adopt([stored, mine], [copy, own]), ["held", "adopted"]);
    const lent = () => binder.held().map((held) => binder.ledger.of(held).map((one) => one.count));
    assertEquals(lent(), [[0], [0]]);
    await bound(connect(), [mine]);
    assertEquals(lent(), [[0], [1]]);
  });
});

Deno.test("a socket that the binder gave out itself is held", async () => {
  await withBinder(async ({ connect }) => {
    const [param] = params(1);
    const client = connect();
    const fds = await client.bind([param]);
    assertEquals(await client.adopt([param], fds), ["held"]);
    fds.forEach((fd) => fd.close());
  });
});

Deno.test("another socket of an address held is refused", async () => {
  await withBinder(async ({ binder, connect, folder, listenOn }) => {
    const path = folder.file("site.sock");
    const param = { address: `unix:${path}` };
    const client = connect();
    await bound(client, [param]);
    const before = heldCookies(binder);
    Deno.removeSync(path);
    using other = await listenOn(param);
    const refused = ["refused: another socket is held for this address"];
    assertEquals(await client.adopt([param], [other]), refused);
    assertEquals(heldCookies(binder), before);
  });
});

Deno.test("the binder's own control socket is not held for clients", async () => {
  await withBinder(async ({ binder, connect, folder }) => {
    const param = { address: `unix:${folder.file("sock")}` };
    const outcomes = await connect().adopt([param], [binder.server.listening]);
    assertEquals(outcomes, ["refused: it is this binder's control socket"]);
    assertEquals(binder.held(), []);
  });
});

Deno.test("each socket is judged for itself, and what is refused is closed", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const [good, wrong, none, held, denied] = params(5);
    assert(wrong && none && held && denied);
    denied.port = 9000;
    const client = connect();
    await bound(client, [held]);
    using socket = await listenOn(good);
    using elsewhere = await listenOn(denied);
    using file = createMemfd("none");
    const outcomes = await client.adopt(
      [wrong, none, held, denied, good],
      [socket, file, file, elsewhere, socket],
    );
    assertEquals(outcomes, [
      `refused: it listens on ${good.address}:${good.port}`,
      "refused: it is no socket",
      "refused: it is no socket",
      "refused: not allowed",
      "adopted",
    ]);
    assertStrictEquals(binder.held().length, 2);
    assertStrictEquals(binder.log.filter((line) => line.includes("refused a socket")).length, 4);
  }, { allow: ["*:8000-8100"] });
});

Deno.test("refusals that repeat are not written one by one", async () => {
  await withBinder(async ({ binder, connect }) => {
    using file = createMemfd("none");
    const wanted = params(50);
    const outcomes = await connect().adopt(wanted, wanted.map(() => file));
    assertEquals(outcomes, wanted.map(() => "refused: it is no socket"));
    const written = binder.log.filter((line) => line.includes("refused a socket")).length;
    assert(written > 0 && written <= 20, `${written} lines`);
  });
});

Deno.test("as many sockets as addresses, or none is taken", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const wanted = params(2);
    using socket = await listenOn(wanted[0]);
    const client = connect();
    for (const fds of [[], [socket], [socket, socket, socket]]) {
      const error = await assertRejects(() => client.adopt(wanted, fds), RefusedError);
      assertStrictEquals(error.code, RPC.invalidParams);
      assertMatch(error.message, new RegExp(`${fds.length} sockets for 2 addresses`));
    }
    assertObjectMatch(await assertRejects(() => client.adopt([], [socket]), Error), {
      code: RPC.invalidParams,
    });
    const nameless = { address: "no such host.invalid", port: 80 };
    assertObjectMatch(await assertRejects(() => client.adopt([nameless], [socket]), Error), {
      code: RPC.couldNotBind,
    });
    assertObjectMatch(await assertRejects(() => client.adopt([{ address: "" }], [socket]), Error), {
      code: RPC.invalidParams,
    });
    assertEquals([binder.held(), binder.server.clients.attached], [[], []]);
    assertEquals(await client.adopt([wanted[0]], [socket]), ["adopted"]);
  });
});

Deno.test("who holds nothing can stay connected as well", async () => {
  await withBinder(async ({ binder, connect }) => {
    assertEquals(await connect().adopt([], []), []);
    assertEquals(binder.server.clients.attached.map(({ holds }) => holds), [[]]);
  });
});

Deno.test("what a client holds is what it said last", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const [a] = params(1);
    const client = connect();
    using socket = await listenOn(a);
    await client.adopt([a], [socket]);
    const holds = () => binder.server.clients.attached.map(({ holds }) => holds);
    assertEquals(holds(), [[`${a.address}:${a.port}`]]);
    await client.adopt([], []);
    assertEquals(holds(), [[]]);
  });
});

Deno.test("the backlog is the one asked for, else the socket's own", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const [a, b] = params(2);
    assert(b);
    using first = await listenOn(a, 7);
    using second = await listenOn(b, 8);
    await connect().adopt([a, { ...b, backlog: 20 }], [first, second]);
    assertEquals(binder.held().map(({ backlog }) => backlog), [7, 20]);
    await bound(connect(), [{ ...a, backlog: 9 }]);
    assertStrictEquals(acceptQueue(first).limit, 9, "it grows as any other does");
  });
});

Deno.test("a stranger can bind and ask, but neither hand back nor upgrade", async () => {
  let upgrades = 0;
  await withBinder(
    async ({ binder, connect, listenOn }) => {
      const [param, other] = params(2);
      assert(other);
      using socket = await listenOn(param);
      const client = connect();
      using sends = connect();
      for (const attempt of [sends.adopt([param], [socket]), client.call("upgrade", [])]) {
        const error = await assertRejects(() => attempt, RefusedError);
        assertEquals([error.code, error.data?.code], [RPC.notPermitted, "EPERM"]);
        assertMatch(error.message, new RegExp(`^Not permitted: uid ${Deno.uid()} may not `));
      }
      assertEquals([binder.held(), binder.server.clients.attached, upgrades], [[], [], 0]);
      assertEquals(await client.call("status", []), { role: "binder" });
      assertEquals(await bound(client, [other]), heldCookies(binder));
    },
    {
      trusts: () => false,
      upgrade: () => {
        upgrades++;
        throw new Error("it was not permitted");
      },
    },
  );
});

Deno.test("who is trusted is asked by uid", async () => {
  const asked = new Set<number>();
  const trusts = (uid: number) => {
    asked.add(uid);
    return true;
  };
  await withBinder(async ({ connect }) => {
    await connect().adopt([], []);
    assertEquals([...asked], [Deno.uid()]);
  }, { trusts });
});

Deno.test("the answer to an upgrade is left to the successor, unless it fails", async () => {
  const begun = Promise.withResolvers<void>();
  const upgrade = () => {
    begun.resolve();
    return new Promise<never>(() => {});
  };
  await withBinder(async ({ binder, connect }) => {
    const client = connect();
    const answered = assertRejects(() => client.call("upgrade", []), NoBinderError);
    await begun.promise;
    await until(() => binder.server.clients.handedOver().some(({ owed }) => owed === 1));
    client.close();
    await answered;
  }, { upgrade });
  await withBinder(async ({ binder, connect }) => {
    const client = connect();
    assertObjectMatch(await assertRejects(() => client.call("upgrade", []), Error), {
      code: RPC.failed,
    });
    assertEquals(binder.server.clients.handedOver().map(({ owed }) => owed), [undefined]);
    await client.call("status", []);
  });
});

Deno.test("answers about every socket are made one at a time for all who are not trusted", async () => {
  const made: (() => void)[] = [];
  const status = () => new Promise<object>((resolve) => made.push(() => resolve({})));
  const access = { trusts: (uid: number) => uid === 0, mayAdopt: () => false };
  const requests = new Requests({ view: { status }, access } as unknown as Resources);
  const ask = (uid: number) =>
    requests.handle(
      { method: "status", params: [], id: 1 },
      { peer: { uid } } as unknown as Caller,
    );
  const answers = [ask(1), ask(2), ask(1)];
  assertStrictEquals(made.length, 1);
  answers.push(ask(0));
  assertStrictEquals(made.length, 2, "root's at once");
  for (let at = 0; at < answers.length; at++) {
    await until(() => made.length > 0);
    made.shift()?.();
  }
  await Promise.all(answers);
});

Deno.test("an unknown method is refused by its name, however long", async () => {
  await withBinder(async ({ connect }) => {
    const client = connect();
    assertObjectMatch(
      await assertRejects(
        () => client.call("rebind", []),
        Error,
        /answers "Method not found: rebind": it is a wrapper, or an older binder/,
      ),
      { code: RPC.methodNotFound },
    );
    const error = await assertRejects(() => client.call("x".repeat(10_000), []));
    assert(error instanceof RefusedError && error.message.length < 300);
  });
});

const isWaiting = (binder: LocalBinder) =>
  binder.log.some((line) => line.includes("waiting for a client to hand an address back"));

Deno.test("an address in use is waited for, and given once it is handed back", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const [free, taken] = params(2);
    assert(taken);
    using socket = await listenOn(taken);
    const asks = bound(connect(), [taken, free]);
    await until(() => isWaiting(binder));
    assertEquals(binder.held(), [], "all or none");
    assertEquals(await connect().adopt([taken], [socket]), ["adopted"]);
    const [cookie, other] = await asks;
    assertStrictEquals(cookie, socketCookie(socket));
    assertEquals(heldCookies(binder), [cookie, other]);
  }, { handBackTime: LONG });
});

Deno.test("several addresses may come from several clients", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const wanted = params(3);
    const sockets: Fd[] = [];
    for (const param of wanted) sockets.push(await listenOn(param));
    const asks = bound(connect(), wanted);
    await until(() => isWaiting(binder));
    for (const [index, param] of [...wanted.entries()].reverse()) {
      const [socket] = sockets.slice(index);
      if (socket) assertEquals(await connect().adopt([param], [socket]), ["adopted"]);
    }
    assertEquals(await asks, cookies(sockets));
  }, { handBackTime: LONG });
});

Deno.test("an address that nobody hands back is in use, after the time and not before", async () => {
  // From the start on: longer than the first request may take to come.
  for (const handBackTime of [0, 1000]) {
    await withBinder(async ({ binder, connect, listenOn }) => {
      const [free, taken] = params(2);
      assert(taken);
      using _socket = await listenOn(taken);
      const address = `${taken.address}:${taken.port}`;
      const error = await assertRejects(() => connect().bind([free, taken]), RefusedError);
      assertEquals([error.code, error.data], [RPC.couldNotBind, {
        code: "EADDRINUSE",
        address,
      }]);
      assertStrictEquals(isWaiting(binder), handBackTime > 0);
      assertEquals(binder.held(), []);
    }, { handBackTime });
  }
});

Deno.test("a socket for both families that was asked for as a star goes on being that, and is found so", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const port = freePort();
    const [star, both] = [{ address: "*", port }, {
      address: "[::]",
      port,
      options: { v4v6: true as const },
    }];
    const socket = await listenOn(both);
    assertEquals(await connect().adopt([star], [socket]), ["adopted"]);
    for (const param of [star, both]) {
      assertEquals(await bound(connect(), [param]), cookies([socket]));
    }
    assertObjectMatch(await assertRejects(() => connect().bind([{ address: "", port }]), Error), {
      message:
        `Could not bind: 0.0.0.0:${port}: it overlaps [::]:${port},v4v6, which is held already ` +
        "(EADDRINUSE)",
    });
    assertEquals(await connect().call("unbind", [star]), [`[::]:${port},v4v6`]);
    assertEquals(binder.held(), []);
  });
});

Deno.test("a client who is not trusted asks for no option that harms others, and changes nothing held", async () => {
  const refused = async (client: ControlClient, param: BindParam) => {
    const { data, message } = await assertRejects(() => client.bind([param]), RefusedError);
    assertStrictEquals(data?.code, "EACCES");
    return message;
  };
  await withBinder(async ({ connect, folder }) => {
    const [param] = params(1);
    const options = { mss: 1400, "defer-accept": true } as const;
    const held = await bound(connect(), [{ ...param, options }]);
    assertEquals(await bound(connect(), [{ ...param, options: { mss: 1400 } }]), held);
    assertMatch(
      await refused(connect(), { ...param, options: { mss: 1300 } }),
      /it is held, and only root and this binder's user may change its option mss \(EACCES\)$/,
    );
    assertMatch(await refused(connect(), { ...param, options: { tfo: true } }), /option tfo/);
    const [next] = [{ ...param, port: 9000 }];
    const values = { interface: "lo", transparent: true, mark: 7 } as const;
    for (const [name, value] of Object.entries(values)) {
      const message = await refused(connect(), { ...next, options: { [name]: value } });
      assertMatch(message, new RegExp(`the option ${name} is for root .*--allow-option ${name} `));
    }
    await bound(connect(), [{ ...next, options: { freebind: true } }]);
    const path = `unix:${folder.file("site.sock")}`;
    for (const name of ["user", "group"]) {
      const message = await refused(connect(), { address: path, options: { [name]: "0" } });
      assertMatch(message, new RegExp(`the option ${name} is for root`));
    }
    await bound(connect(), [{ address: path, options: { mode: "600" } }]);
    assertMatch(
      await refused(connect(), { address: path, options: { mode: "666" } }),
      /only root .* may change its option mode/,
    );
  }, { trusts: () => false, allowOption: ["freebind"] });
});

Deno.test("a socket handed back gets the options that it is to have, or is refused", async () => {
  await withBinder(async ({ binder, connect, listenOn }) => {
    const [param, other, shared, single] = params(4);
    const sockets = [await listenOn(param), await listenOn(other ?? param)];
    const wanted = [
      { ...param, options: { mss: 1400 } },
      { ...other ?? param, options: { mptcp: true as const } },
    ];
    assertEquals(await connect().adopt(wanted, sockets), [
      "adopted",
      "refused: it is of protocol 6",
    ]);
    assertEquals(binder.held().map(({ fd, address }) => optionsOf(fd, address)), [{ mss: 1400 }]);

    const shares = ["1/2", "2/2"].map((reuseport) => ({
      ...shared ?? param,
      options: { reuseport },
    }));
    const alone = await listenOn(single ?? param);
    const share = { ...single ?? param, options: { reuseport: "1/2" } };
    assertEquals(await connect().adopt([share], [alone]), [
      "refused: it shares its port with no other socket (SO_REUSEPORT)",
    ]);
    const both = [];
    for (const share of shares) both.push(await listenOn(share));
    const [first = fail(), second = fail()] = both;
    using copy = first.duplicate();
    assertEquals(await connect().adopt(shares, [first, copy]), [
      "adopted",
      "refused: it is held as another share of this address",
    ]);
    assertEquals(await connect().adopt(shares, [first, second]), ["held", "adopted"]);
    assertEquals(await bound(connect(), shares), cookies(both));
  });
});

Deno.test("what nobody can hand back is not waited for", async () => {
  await withBinder(async ({ binder, connect, folder }) => {
    const [{ port, address }] = params(1);
    const path = folder.file("precious");
    Deno.writeTextFileSync(path, "precious");
    const own = `${address}:${port}`;
    const all = `0.0.0.0:${port}`;
    await bound(connect(), [{ address, port }]);
    const refused: [param: BindParam, message: string][] = [
      [{ address: "", port }, `${all}: it overlaps ${own}, which is held already (EADDRINUSE)`],
      [
        { address: "[::]", port, options: { v4v6: true } },
        `[::]:${port},v4v6: it overlaps ${own}, which is held already (EADDRINUSE)`,
      ],
      [
        { address: `unix:${path}` },
        `unix:${path}: the file exists and is not a socket; it is left alone (EADDRINUSE)`,
      ],
    ];
    for (const [param, message] of refused) {
      assertObjectMatch(await assertRejects(() => connect().bind([param]), Error), {
        message: `Could not bind: ${message}`,
      });
    }
    assertStrictEquals(isWaiting(binder), false);
    assertStrictEquals(binder.held().length, 1);
  }, { handBackTime: LONG });
});

Deno.test("other reasons than an address in use are not waited for", async () => {
  await withBinder(async ({ connect }) => {
    assertObjectMatch(
      await assertRejects(() => connect().bind([{ address: "192.0.2.1", port: 8000 }]), Error),
      { data: { code: "EADDRNOTAVAIL", address: "192.0.2.1:8000" } },
    );
  }, { handBackTime: LONG });
});

Deno.test("whom a socket was handed out to is noted, and who was refused is not", async () => {
  await withBinder(async ({ binder, connect }) => {
    using client = connect();
    const [one, other] = params(2);
    assert(other !== undefined);
    await bound(client, [one]);
    await bound(client, [one, other]);
    await assertRejects(() => client.bind([{ address: "192.0.2.1", port: 1 }]), RefusedError);
    const lent = binder.held().map((held) => binder.ledger.of(held));
    const self = { pid: Deno.pid, uid: Deno.uid() };
    assertEquals(lent.map((all) => all.map(({ last: _, ...rest }) => rest)), [
      [{ ...self, count: 2 }],
      [{ ...self, count: 1 }],
    ]);
  });
});
