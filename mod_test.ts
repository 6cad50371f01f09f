import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { leavesNoDescriptors, openCopies, openFile } from "./tests/support/descriptors.ts";
import { type LocalBinder, startLocalBinder } from "./tests/support/local_binder.ts";
import { loopbackHost, tempDir } from "./tests/support/temp_dir.ts";
import { Fd } from "./ffi/fd.ts";
import {
  bind,
  bindAll,
  listen,
  NoBinderError,
  parseAddresses,
  RefusedError,
  UserError,
} from "./mod.ts";

/** Runs `test` with the path of a binder's control socket. It must leave no descriptor open. */
function withBinder(test: (sock: string, binder: LocalBinder) => Promise<void>): Promise<void> {
  return leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    await using binder = await startLocalBinder(sock);
    await test(sock, binder);
  });
}

/** What a descriptor of this process is open on. */
function target(number: number): string {
  return Deno.readLinkSync(`/proc/self/fd/${number}`);
}

/** Whether a program that this process starts gets a descriptor. */
async function isInherited(number: number): Promise<boolean> {
  const { success } = await new Deno.Command("test", { args: ["-e", `/proc/self/fd/${number}`] })
    .output();
  return success;
}

Deno.test("a socket is a descriptor of this process, until it is closed", async () => {
  await withBinder(async (sock, binder) => {
    const address = `${loopbackHost()}:8000`;
    let file: string;
    {
      using socket = await bind(address, { sock });
      assertStrictEquals(socket.address, address);
      assertEquals([target(socket.fd)], binder.held().map(({ fd }) => openFile(fd)));
      file = target(socket.fd);
      assertStrictEquals(openCopies(file), 2, "the binder's and ours");
    }
    assertStrictEquals(openCopies(file), 1, "the binder's");
    const socket = await bind(address, { sock });
    assertStrictEquals(target(socket.fd), file);
    socket.close();
    socket.close();
    assertThrows(() => socket.fd, Error, /closed/);
  });
});

Deno.test("several sockets come in their order, all at once", async () => {
  await withBinder(async (sock, binder) => {
    const host = loopbackHost();
    const addresses = [`${host}:8082`, `${host}:8080`, `udp:${host}:8081`, `${host}:8082`];
    const sockets = await bindAll(addresses, { sock });
    assertEquals(sockets.map(({ address }) => address), addresses);
    const [a, b, c] = binder.held().map(({ fd }) => openFile(fd));
    assertEquals(sockets.map(({ fd }) => target(fd)), [a, b, c, a]);
    assertStrictEquals(new Set(sockets.map(({ fd }) => fd)).size, 4);
    assertStrictEquals(binder.requests.length, 1);
    sockets.forEach((socket) => socket.close());
  });
});

Deno.test("no address, no socket", async () => {
  await withBinder(async (sock, binder) => {
    assertEquals(await bindAll([], { sock }), []);
    assertStrictEquals(binder.requests.length, 0);
  });
});

Deno.test("a socket is inherited by the programs that this one starts, unless told otherwise", async () => {
  await withBinder(async (sock) => {
    const address = `${loopbackHost()}:8000`;
    for (const closeOnExec of [undefined, false, true]) {
      using socket = await bind(
        address,
        closeOnExec === undefined ? { sock } : { sock, closeOnExec },
      );
      assertStrictEquals(await isInherited(socket.fd), !closeOnExec);
    }
  });
});

Deno.test("the length of the accept queue reaches the binder", async () => {
  await withBinder(async (sock, binder) => {
    const address = loopbackHost();
    (await bind(`${address}:8080`, { sock, backlog: 7 })).close();
    (await bind(`${address}:8080`, { sock })).close();
    assertEquals(binder.requests, [[{ address, port: 8080, backlog: 7 }], [{
      address,
      port: 8080,
    }]]);
  });
});

Deno.test("the control socket is that of MULTIBINDER_SOCK", async () => {
  await withBinder(async (sock, binder) => {
    const before = Deno.env.get("MULTIBINDER_SOCK");
    Deno.env.set("MULTIBINDER_SOCK", sock);
    try {
      (await bind(`${loopbackHost()}:8080`)).close();
      assertStrictEquals(binder.requests.length, 1);
    } finally {
      if (before === undefined) Deno.env.delete("MULTIBINDER_SOCK");
      else Deno.env.set("MULTIBINDER_SOCK", before);
    }
  });
});

Deno.test("no binder is an error that says so", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    const error = await assertRejects(() => bind(":80", { sock }));
    assert(error instanceof NoBinderError && error instanceof UserError);
    assertEquals([error.code, error.path], ["ENOENT", sock]);
    assert(/is `multibinder bind` running\?/.test(error.message));
  });
});

Deno.test("a refusal tells what the binder's system call said, and leaves no socket", async () => {
  await withBinder(async (sock, binder) => {
    const hostname = loopbackHost();
    using _other = Deno.listen({ hostname, port: 8081 });
    const error = await assertRejects(
      () => bindAll([`${hostname}:8080`, `${hostname}:8081`], { sock }),
      RefusedError,
    );
    assertEquals(error.data, { code: "EADDRINUSE", address: `${hostname}:8081` });
    assert(error.code === 10000);
    assertEquals(binder.held(), []);
  });
});

Deno.test("a malformed address is refused before the binder is asked", async () => {
  await withBinder(async (sock, binder) => {
    await assertRejects(() => bind("80", { sock }), UserError, /did you mean ":80"/);
    assertStrictEquals(binder.requests.length, 0);
  });
});

Deno.test("an answer with too few sockets is an error, and they are closed", async () => {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const sock = folder.file("sock");
    await using _binder = await startLocalBinder(sock, {
      answer: () => () => {
        const fds = [new Fd(0)]; // any descriptor will do
        return Promise.resolve({ result: ["a", "b"], fds });
      },
    });
    await assertRejects(
      () => bindAll([":80", ":81"], { sock }),
      Error,
      /sent 1 sockets for 2 addresses/,
    );
  });
});

Deno.test("without a binder this process listens itself, and says why it cannot", async () => {
  await leavesNoDescriptors(async () => {
    const address = `${loopbackHost()}:8000`;
    using socket = await listen(address, { backlog: 5 });
    assertStrictEquals(socket.address, address);
    assertStrictEquals(await isInherited(socket.fd), true);
    const [hostname = "", port] = address.split(":");
    using _client = await Deno.connect({ hostname, port: Number(port) });
    await assertRejects(() => listen(address), UserError, "EADDRINUSE");
    await assertRejects(() => listen("80"), UserError, 'did you mean ":80"?');
    using own = await listen(`${loopbackHost()}:8000`, { closeOnExec: true });
    assertStrictEquals(await isInherited(own.fd), false);
  });
});

Deno.test("addresses are written in one way", () => {
  assertEquals(parseAddresses("*:80, [0::1]:8001-8002,/run/a//b"), [
    "0.0.0.0:80",
    "[::1]:8001",
    "[::1]:8002",
    "unix:/run/a/b",
  ]);
  assertEquals(parseAddresses("localhost:80"), ["localhost:80"]);
  assertThrows(() => parseAddresses("[::1"), UserError, "malformed address");
});
