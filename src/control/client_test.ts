import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  fail,
} from "@std/assert";
import { AF_INET, AF_UNIX, POLLIN, SOCK_NONBLOCK, SOCK_STREAM } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { sendMessage } from "../../ffi/fd_passing.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { Poller } from "../../ffi/poll.ts";
import { acceptSocket, bindSocket, createSocket, listenSocket } from "../../ffi/socket.ts";
import { leavesNoDescriptors, openFile } from "../../tests/support/descriptors.ts";
import { asStranger, asUser } from "../../tests/support/file_user.ts";
import { settled } from "../../tests/support/poller.ts";
import { ignoreUnless } from "../../tests/support/users.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { PEERS } from "./expected_peer.ts";
import { ControlClient } from "./client.ts";
import { NoBinderError, RefusedError } from "./client_errors.ts";
import { UserError } from "../errors.ts";
import { listen } from "../sockets/listen.ts";
import { Channel } from "./channel.ts";
import { parseBindParams, parseRequest, type Request } from "./messages.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();
const HOST = loopbackHost();
const ONE = [{ address: HOST, port: 8000 }];
const TWO = [...ONE, { address: HOST, port: 8001 }];

/** A socket that a binder would give for the first of {@link TWO}, or for the second. */
function listening(port = 8000): Fd {
  return listen({ transport: "tcp", family: "inet", host: HOST, port }, 10).fd;
}

/** What a binder does with a request; nothing more is read from a connection that it closes. */
type Answerer = (channel: Channel, request: Request) => Promise<void> | void;

function listenAt(path: string): Fd {
  const fd = createSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  bindSocket(fd, { family: "unix", path });
  listenSocket(fd, 10);
  return fd;
}

/** Runs `action` with the path of a binder that serves one connection. */
async function withBinder(
  answer: Answerer,
  action: (path: string) => Promise<void>,
  maxFds = 0,
) {
  using dir = tempDir();
  const path = dir.file("control.sock");
  using listening = listenAt(path);
  const serve = async () => {
    if (await poller.wait(listening, POLLIN) === 0) return;
    const fd = acceptSocket(listening);
    if (fd === undefined) return;
    const channel = new Channel(fd, poller);
    channel.maxFds = maxFds;
    while (!fd.closed) {
      const text = await channel.receive(LONG);
      if (text === undefined) channel.close();
      else await answer(channel, parseRequest(text));
    }
  };
  const serving = serve();
  await action(path);
  poller.cancel(listening);
  await serving;
  await settled(poller);
}

/** Answers as a binder does, with copies of the descriptors. */
function granting(fds: readonly Fd[], result: unknown = true): Answerer {
  return (channel, { id }) => channel.send({ id, result }, fds, LONG);
}

function sendRaw(channel: Channel, text: string): void {
  sendMessage(channel.fd, new Uint8Array(new TextEncoder().encode(text)));
}

/** Of a client that waits 10 ms. */
const silent = (path: string) =>
  `no answer from ${path} within 0.01 s; what it was asked for may still be done`;

/** Asserts that there is no binder, and says why. */
async function noBinder(action: () => unknown, path: string, code: string, message: string) {
  const error = await assertRejects(async () => await action());
  assert(error instanceof NoBinderError && error instanceof UserError, String(error));
  assertEquals([error.path, error.code], [path, code]);
  assertStrictEquals(error.message, message);
}

Deno.test("sockets come in the order of their addresses, for request after request", async () => {
  await leavesNoDescriptors(async () => {
    const files = [listening(), listening(8001)];
    const requests: Request[] = [];
    const answer: Answerer = (channel, request) => {
      requests.push(request);
      const count = Array.isArray(request.params) ? request.params.length : 0;
      return granting(files.slice(0, count))(channel, request);
    };
    await withBinder(answer, async (path) => {
      using client = ControlClient.connect(path, poller);
      for (const params of [ONE, TWO, ONE]) {
        const fds = await client.bind(params);
        assertEquals(fds.map(openFile), files.slice(0, params.length).map(openFile));
        assert(fds.every((fd) => fd.closeOnExec));
        fds.forEach((fd) => fd.close());
      }
      assertEquals(await client.bind([]), []);
    });
    assertEquals(requests, [
      { id: 1, method: "bind", params: ONE },
      { id: 2, method: "bind", params: TWO },
      { id: 3, method: "bind", params: ONE },
    ]);
    files.forEach((fd) => fd.close());
  });
});

Deno.test("connections without a poller of their own leave nothing open", async () => {
  using file = listening();
  await leavesNoDescriptors(() =>
    withBinder(granting([file]), async (path) => {
      using client = ControlClient.connect(path);
      (await client.bind(ONE)).forEach((fd) => fd.close());
    })
  );
});

Deno.test("a refusal has the binder's code and sentence, and the connection goes on", async () => {
  using file = listening();
  const data = { code: "EADDRINUSE", address: "0.0.0.0:80" };
  const answer: Answerer = (channel, request) =>
    request.id === 1
      ? channel.send({ id: 1, error: { code: 10000, message: "Could not", data } }, [], LONG)
      : granting([file])(channel, request);
  await withBinder(answer, async (path) => {
    using client = ControlClient.connect(path, poller);
    const error = await assertRejects(() => client.bind(ONE));
    assert(error instanceof RefusedError && error instanceof UserError);
    assertEquals([error.code, error.message, error.data], [10000, "Could not", data]);
    (await client.bind(ONE)).forEach((fd) => fd.close());
  });
});

Deno.test("a path without a binder is said to be so, with the reason", async () => {
  using dir = tempDir();
  const path = dir.file("control.sock");
  const fails = (code: string, message: string) =>
    noBinder(() => ControlClient.connect(path), path, code, `no binder at ${path}: ${message}`);
  await leavesNoDescriptors(async () => {
    await fails("ENOENT", "there is no such file (ENOENT); is `multibinder bind` running?");

    const refused = "nobody listens on that socket (ECONNREFUSED); is `multibinder bind` running?";
    Deno.writeTextFileSync(path, "no socket");
    await fails("ECONNREFUSED", refused);
    Deno.removeSync(path);

    using listening = listenAt(path);
    Deno.chmodSync(path, 0);
    const denied =
      `no binder at ${path}: no permission (EACCES); see the binder's --mode and --group`;
    await noBinder(() => asStranger(() => ControlClient.connect(path)), path, "EACCES", denied);

    listening.close();
    Deno.chmodSync(path, 0o600);
    await fails("ECONNREFUSED", refused);
    Deno.removeSync(path);
  });
});

Deno.test("who is not there, and who is there instead, is said in the words of the one asked for", async () => {
  using dir = tempDir();
  const missing = dir.file("control.sock");
  for (const peer of Object.values(PEERS)) {
    const why = `there is no such file (ENOENT); ${peer.hint}`;
    const connect = () => ControlClient.connect(missing, poller, LONG, peer);
    await noBinder(connect, missing, "ENOENT", `${peer.nobody} at ${missing}: ${why}`);
    const unknown: Answerer = (channel, { id }) =>
      channel.send({ id, error: { code: -32601, message: "Method not found" } }, [], LONG);
    await withBinder(unknown, async (path) => {
      using client = ControlClient.connect(path, poller, LONG, peer);
      const error = await assertRejects(() => client.call("nope", []), RefusedError);
      assertStrictEquals(error.message, `${path} answers "Method not found": ${peer.instead}`);
    });
    await withBinder((channel) => sendRaw(channel, "HTTP/1.1 400\n"), async (path) => {
      using client = ControlClient.connect(path, poller, LONG, peer);
      await assertRejects(() => client.call("status", []), NoBinderError, ` ${peer.isNot}: `);
    });
  }
});

Deno.test("a path that is too long for a UNIX socket is named as such", async () => {
  for (const path of [`/${"x".repeat(107)}`, `/${"é".repeat(54)}`]) {
    const length = new TextEncoder().encode(path).length;
    const message =
      `no binder at ${path}: the path has ${length} bytes, and a UNIX socket's has at most 107`;
    await noBinder(() => ControlClient.connect(path), path, "ENAMETOOLONG", message);
  }
});

Deno.test("a binder that does not answer is given up", async () => {
  await withBinder(() => {}, async (path) => {
    using client = ControlClient.connect(path, poller, 10);
    await noBinder(() => client.bind(ONE), path, "ETIMEDOUT", silent(path));
  });
});

Deno.test("a call gives the result, and tells a binder that refuses from one that is silent", async () => {
  const answer: Answerer = (channel, { id, method, params }) =>
    method === "status"
      ? channel.send({ id, result: { role: "binder", params } }, [], LONG)
      : channel.send({ id, error: { code: -32601, message: "Method not found" } }, [], LONG);
  await withBinder(answer, async (path) => {
    using client = ControlClient.connect(path, poller);
    const message = `${path} answers "Method not found": ${PEERS.binder.instead}`;
    const refused = await assertRejects(() => client.call("nope", []), RefusedError);
    assertObjectMatch(refused, { code: -32601, message });
    assertEquals(await client.call("status", [1]), { role: "binder", params: [1] });
  });
  await withBinder(() => {}, async (path) => {
    using client = ControlClient.connect(path, poller, 10);
    await noBinder(() => client.call("status", []), path, "ETIMEDOUT", silent(path));
  });
});

Deno.test("descriptors that come with an answer that promises none are closed", async () => {
  await leavesNoDescriptors(async () => {
    using file = listening();
    await withBinder(granting([file, file]), async (path) => {
      using client = ControlClient.connect(path, poller);
      assertStrictEquals(await client.call("status", []), true);
      assertEquals(await client.adopt([], []), []);
    });
  });
});

Deno.test("requests made at once are sent one by one, and each gets its own answer", async () => {
  using file = listening();
  let inProgress = 0;
  const answer: Answerer = async (channel, { id, method, params }) => {
    assertStrictEquals(++inProgress, 1);
    // Lets every other task have its turn.
    await Deno.stat("/proc/self");
    inProgress--;
    const fds = method === "bind" ? [file] : [];
    await channel.send({ id, result: [method, params] }, fds, LONG);
  };
  await leavesNoDescriptors(() =>
    withBinder(answer, async (path) => {
      using client = ControlClient.connect(path, poller);
      const outcomes = await Promise.all([
        client.call("a", 1),
        client.bind(ONE),
        client.adopt(ONE, [file]),
        client.call("b", 2),
        client.bind(ONE),
      ]);
      const [a, first, adopted, b, second] = outcomes;
      assertEquals([a, adopted[0], b], [["a", 1], "adopt", ["b", 2]]);
      for (const fd of [...first, ...second]) {
        assertStrictEquals(openFile(fd), openFile(file));
        fd.close();
      }
      assertEquals([first.length, second.length], [1, 1]);
    })
  );
});

Deno.test("a request that is refused does not keep those behind it from their answers", async () => {
  const answer: Answerer = (channel, { id, method }) =>
    method === "bad"
      ? channel.send({ id, error: { code: 1, message: "no" } }, [], LONG)
      : channel.send({ id, result: method }, [], LONG);
  await withBinder(answer, async (path) => {
    using client = ControlClient.connect(path, poller);
    const [bad, good] = await Promise.allSettled([
      client.call("bad", []),
      client.call("good", []),
    ]);
    assertStrictEquals(bad.status, "rejected");
    assertEquals(good, { status: "fulfilled", value: "good" });
  });
});

Deno.test("sockets handed back arrive in their order and stay the caller's", async () => {
  await leavesNoDescriptors(async () => {
    using a = listening();
    using b = listening(8001);
    const got: string[] = [];
    const answer: Answerer = async (channel, { id, params }) => {
      const fds = channel.takeFds();
      got.push(...fds.map(openFile));
      fds.forEach((fd) => fd.close());
      assertEquals(params, TWO);
      await channel.send({ id, result: ["adopted", "refused: why"] }, [], LONG);
    };
    const keepsTwo: Answerer = (channel, request) => answer(channel, request);
    await withBinder(keepsTwo, async (path) => {
      using client = ControlClient.connect(path, poller);
      assertEquals(await client.adopt(TWO, [a, b]), ["adopted", "refused: why"]);
    }, 2);
    assertEquals(got, [a, b].map(openFile));
    assertEquals([a.closed, b.closed], [false, false]);
  });
});

Deno.test("the end of the binder, and our own, is noticed without a request", async () => {
  for (const ends of ["binder", "client"]) {
    const answer: Answerer = async (channel, request) => {
      await granting([])(channel, request);
      if (ends === "binder") channel.close();
    };
    await withBinder(answer, async (path) => {
      using client = ControlClient.connect(path, poller);
      const gone = client.gone();
      await client.call("status", []);
      if (ends === "client") client.close();
      await gone;
    });
  }
});

Deno.test("an answer that comes too late is not taken for the next one", async () => {
  using file = listening();
  await leavesNoDescriptors(async () => {
    const late = Promise.withResolvers<void>();
    const answer: Answerer = async (channel, request) => {
      await late.promise;
      assertObjectMatch(
        await assertRejects(async () => await granting([file])(channel, request), Error),
        { code: "EPIPE" },
      );
    };
    await withBinder(answer, async (path) => {
      using client = ControlClient.connect(path, poller, 10);
      await noBinder(() => client.bind(ONE), path, "ETIMEDOUT", silent(path));
      late.resolve();
      const closed = `the connection to ${path} is closed`;
      await noBinder(() => client.bind(ONE), path, "ENOTCONN", closed);
    });
  });
});

Deno.test("a binder that closes the connection is said to have done so", async () => {
  for (const text of ["", '{"id":1,']) {
    const answer: Answerer = (channel) => {
      if (text !== "") sendRaw(channel, text);
      channel.close();
    };
    await withBinder(answer, async (path) => {
      using client = ControlClient.connect(path, poller);
      await noBinder(
        () => client.bind(ONE),
        path,
        "ECONNRESET",
        `${path} closed the connection without an answer`,
      );
    });
  }
});

Deno.test("what answers otherwise than a binder is none", async () => {
  const others: [text: string, why: string][] = [
    ["Unknown command\n", "a message is one JSON object, and begins with {"],
    ["{]}", "not an answer of a binder: "],
  ];
  for (const [text, why] of others) {
    await withBinder((channel) => sendRaw(channel, text), async (path) => {
      using client = ControlClient.connect(path, poller);
      const error = await assertRejects(() => client.bind(ONE));
      assert(error instanceof NoBinderError && error.code === "EPROTO", String(error));
      assert(
        error.message.startsWith(`what answers at ${path} is no binder: ${why}`),
      );
    });
  }
});

Deno.test("too few sockets are an error and closed, too many are closed", async () => {
  await leavesNoDescriptors(async () => {
    using file = listening();
    using other = listening(8001);
    for (const count of [0, 1]) {
      await withBinder(granting([file].slice(0, count), [true, true]), async (path) => {
        using client = ControlClient.connect(path, poller);
        assertObjectMatch(await assertRejects(() => client.bind(TWO), UserError), {
          message: `the binder at ${path} sent ${count} sockets for 2 addresses`,
        });
      });
    }
    await withBinder(granting([file, other, file]), async (path) => {
      using client = ControlClient.connect(path, poller);
      const fds = await client.bind(TWO);
      assertStrictEquals(fds.length, 2);
      fds.forEach((fd) => fd.close());
    });
  });
});

Deno.test("what is no listening socket of the address that was asked for is not taken", async () => {
  await leavesNoDescriptors(async () => {
    using other = listening(8001);
    using memfd = createMemfd("a");
    using idle = createSocket(AF_INET, SOCK_STREAM);
    const cases: [sent: Fd, what: string][] = [
      [other, `a socket of ${HOST}:8001`],
      [memfd, "something that is no listening socket"],
      [idle, "something that is no listening socket"],
    ];
    for (const [sent, what] of cases) {
      await withBinder(granting([sent]), async (path) => {
        using client = ControlClient.connect(path, poller);
        const error = await assertRejects(() => client.bind(ONE), UserError);
        const said = `for ${HOST}:8000 the binder at ${path} sent ${what}; it is not used`;
        assertStrictEquals(error.message, said);
      });
    }
  });
});

Deno.test("the original answers the first address of a batch: the others are asked for one by one", async () => {
  await leavesNoDescriptors(async () => {
    const sockets = [listening(), listening(8001)];
    const asked: unknown[] = [];
    const answer: Answerer = (channel, request) => {
      const [first] = parseBindParams(request.params);
      asked.push(request.params);
      return granting(sockets.slice((first.port ?? 0) - 8000).slice(0, 1))(channel, request);
    };
    await withBinder(answer, async (path) => {
      using client = ControlClient.connect(path, poller);
      const fds = await client.bind(TWO);
      assertEquals(fds.map(openFile), sockets.map(openFile));
      fds.forEach((fd) => fd.close());
    });
    assertEquals(asked, [TWO, TWO.slice(1)]);
    sockets.forEach((fd) => fd.close());
  });
});

Deno.test({
  name: "a stranger who listens at the path is asked for nothing and given nothing",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  fn: async () => {
    const asked: Request[] = [];
    using folder = tempDir();
    Deno.chmodSync(folder.path, 0o777);
    const path = folder.file("control.sock");
    // The kernel remembers who made it listen.
    using listener = asUser(4711, () => listenAt(path));
    Deno.chmodSync(path, 0o666);
    using file = listening();
    using client = ControlClient.connect(path, poller);
    for (const action of [() => client.bind(ONE), () => client.adopt(ONE, [file])]) {
      const error = await assertRejects<NoBinderError>(action, NoBinderError);
      assertStrictEquals(error.code, "EPERM");
      assertMatch(error.message, /^uid 4711 answers at .* neither root nor this user/);
      assertMatch(error.message, /--binder-uid 4711 or MULTIBINDER_BINDER_UID=4711/);
    }
    using accepted = acceptSocket(listener) ?? fail();
    assertStrictEquals(await poller.wait(accepted, POLLIN, 0), 0, "nothing was sent");
    assertEquals(asked, []);

    using trusting = ControlClient.connect(path, poller, 10, { ...PEERS.binder, uid: 4711 });
    await noBinder(() => trusting.bind(ONE), path, "ETIMEDOUT", silent(path));
    await settled(poller);
  },
});
