import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  fail,
} from "@std/assert";
import type { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { leavesNoDescriptors } from "../../tests/support/descriptors.ts";
import {
  type LocalBinder,
  type LocalBinderOptions,
  startLocalBinder,
} from "../../tests/support/local_binder.ts";
import { settled } from "../../tests/support/poller.ts";
import { until } from "../../tests/support/process_status.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { NoBinderError } from "../control/client_errors.ts";
import { createLog } from "../log.ts";
import { type BindParam, RPC, RpcError } from "../control/messages.ts";
import type { Handler } from "../control/handler.ts";
import { joinParts } from "../sockets/address.ts";
import { BinderLink } from "./binder_link.ts";
import type { HeldSocket } from "./sockets.ts";

/** Milliseconds that no test needs: it would fail. */
const LONG = 20_000;
const poller = new Poller();

/** A link to a binder that comes and goes, and the sockets that it holds. */
class Scene {
  readonly held: HeldSocket[] = [];
  readonly log: string[] = [];
  readonly link: BinderLink;

  constructor(readonly sock: string, longLived = true) {
    const log = createLog({ format: "text", level: "info" }, (line) => this.log.push(line));
    this.link = new BinderLink(
      { path: sock, uid: undefined },
      poller,
      log,
      longLived ? () => this.held : undefined,
    );
  }

  start(options?: LocalBinderOptions): Promise<LocalBinder> {
    return startLocalBinder(this.sock, options);
  }

  /** Binds, and holds what comes. */
  async hold(...params: BindParam[]): Promise<void> {
    const fds = await this.link.bind(params, 0);
    params.forEach((param, index) => {
      const fd = fds[index];
      if (fd) this.held.push({ param, fd });
    });
  }

  cookies(): bigint[] {
    return this.held.map(({ fd }) => socketCookie(fd));
  }

  /** How often a message was logged. */
  logged(text: string): number {
    return this.log.filter((line) => line.includes(text)).length;
  }

  /** Waits for a message. */
  said(text: string): Promise<void> {
    return until(() => this.logged(text) > 0);
  }

  close(): void {
    this.link.close();
    this.held.splice(0).forEach(({ fd }) => fd.close());
  }
}

/** Runs `test` with a link, twice; it must leave no descriptor open. */
async function withLink(test: (scene: Scene) => Promise<void>, longLived = true): Promise<void> {
  await leavesNoDescriptors(async () => {
    using folder = tempDir();
    const scene = new Scene(folder.file("sock"), longLived);
    try {
      await test(scene);
    } finally {
      scene.close();
      await settled(poller);
    }
  });
}

function params(count: number): [BindParam, ...BindParam[]] {
  const address = loopbackHost();
  const [first, ...rest] = Array.from({ length: count }, (_, index) => {
    return { address, port: 8000 + index };
  });
  return first ? [first, ...rest] : fail();
}

const heldBy = (binder: LocalBinder) => binder.held().map(({ fd }) => socketCookie(fd));
const holders = (binder: LocalBinder) => binder.server.clients.attached.map(({ holds }) => holds);
const close = (fds: readonly Fd[]) => fds.forEach((fd) => fd.close());

/** The original multibinder knows binds alone. */
const bindsAlone = (next: Handler): Handler => (request, caller) => {
  if (request.method === "bind") return next(request, caller);
  throw new RpcError(RPC.methodNotFound, "Method not found");
};

Deno.test("the binder knows what is held, after each change", async () => {
  await withLink(async (scene) => {
    await using binder = await scene.start();
    assertStrictEquals(scene.link.connected, false);
    const [a, b] = params(2);
    assert(b);
    await scene.hold(a);
    assertStrictEquals(scene.link.connected, true);
    assertEquals(holders(binder), [[]], "nothing was held when the link was made");
    await scene.link.refresh();
    assertEquals(holders(binder), [[joinParts(a)]]);
    await scene.hold(b);
    await scene.link.refresh();
    assertEquals(holders(binder), [[a, b].map(joinParts)]);
    assertStrictEquals(
      binder.server.clients.counters.connections,
      1,
      "one connection for all of it",
    );
    assertEquals(scene.log, [], "what the binder holds itself is not worth a line");
  });
});

Deno.test("after the binder's death a new one gets the very same sockets back", async () => {
  await withLink(async (scene) => {
    const wanted = params(2);
    {
      await using _first = await scene.start();
      await scene.hold(...wanted);
    }
    for (let life = 0; life < 2; life++) {
      await scene.said("the binder is gone");
      scene.log.splice(0);
      await using binder = await scene.start();
      await until(() => scene.link.connected);
      assertStrictEquals(scene.logged("handed back to the binder"), 2);
      assertEquals(heldBy(binder), scene.cookies());
      assertEquals(binder.requests, [], "nobody had to ask");
      assertEquals(holders(binder), [wanted.map(joinParts)]);
    }
    await scene.said("the binder is gone");
  });
});

Deno.test("two links that hold the same socket hand it back once", async () => {
  await withLink(async (scene) => {
    const [param] = params(1);
    const other = new Scene(scene.sock);
    {
      await using _first = await scene.start();
      await scene.hold(param);
      await other.hold(param);
    }
    await Promise.all([scene, other].map((one) => one.said("the binder is gone")));
    await using binder = await scene.start();
    await until(() => scene.link.connected && other.link.connected);
    assertEquals(heldBy(binder), scene.cookies());
    assertEquals(other.cookies(), scene.cookies());
    const handed = [scene, other].map((one) => one.logged("handed back"));
    assertEquals(handed.sort(), [0, 1]);
    assertStrictEquals(scene.logged("not take") + other.logged("not take"), 0);
    other.close();
  });
});

Deno.test("a socket that the new binder does not take is told", async () => {
  await withLink(async (scene) => {
    const [param] = params(1);
    {
      await using _first = await scene.start();
      await scene.hold(param);
    }
    await scene.said("the binder is gone");
    await using _binder = await scene.start({ allow: ["*:1-9"] });
    await until(() => scene.link.connected);
    const [line = ""] = scene.log.filter((line) => line.includes("does not take a socket back"));
    assertMatch(line, /refused: not allowed/);
  });
});

Deno.test("a refusal that passes is told once, and the sockets are handed back after it", async () => {
  await withLink(async (scene) => {
    const [param, other] = params(2);
    assert(other);
    {
      await using _first = await scene.start();
      await scene.hold(param);
    }
    await scene.said("the binder is gone");
    let refusal: RpcError | undefined = new RpcError(RPC.failed, "not now");
    const answer = (next: Handler): Handler => (request, caller) => {
      if (request.method === "adopt" && refusal) throw refusal;
      return next(request, caller);
    };
    await using binder = await scene.start({ answer });
    for (const code of [RPC.failed, RPC.couldNotBind, RPC.invalidParams]) {
      refusal = new RpcError(code, "not now");
      const error = await assertRejects(() => scene.link.bind([other], 0));
      assert(error instanceof NoBinderError && error.code === "EAGAIN");
      assertMatch(error.message, /takes no sockets back now: not now$/);
    }
    assertEquals(binder.requests, [], "nothing is asked for before they are handed back");
    const attempts = binder.server.clients.counters.connections;
    await until(() => binder.server.clients.counters.connections >= attempts + 2);
    refusal = undefined;
    await until(() => scene.link.connected);
    assertEquals(heldBy(binder), scene.cookies());
    assertStrictEquals(scene.logged("cannot hand the sockets back yet"), 1);
    assertStrictEquals(scene.logged("takes no sockets back from this process"), 0);
  });
});

Deno.test("a binder that knows no hand-back is used as ever, one connection a bind", async () => {
  await withLink(async (scene) => {
    const [a, b] = params(2);
    assert(b);
    {
      await using binder = await scene.start({ answer: bindsAlone });
      await scene.hold(a);
      // It keeps no connection, and is there all the same.
      assertEquals([scene.link.connected, scene.link.handsBack], [true, false]);
      await until(() => binder.server.clients.size === 0);
      await scene.hold(b);
      assertEquals(scene.cookies(), heldBy(binder));
      await until(() => binder.server.clients.size === 0);
      assertStrictEquals(scene.logged("takes no sockets back"), 1);
    }
    assertStrictEquals(scene.logged("is gone"), 0);
    assertStrictEquals(scene.link.connected, false);
    scene.link.keepTrying();
    await assertRejects(() => scene.link.bind([a], 0), NoBinderError);
  });
});

Deno.test("what one binder refuses is asked of the next: it gets the sockets back", async () => {
  for (const first of [{ answer: bindsAlone }, { trusts: () => false }]) {
    await withLink(async (scene) => {
      const wanted = params(2);
      {
        await using _refuses = await scene.start(first);
        await scene.hold(...wanted);
        await scene.said("takes no sockets back");
      }
      await using binder = await scene.start();
      await until(() => scene.link.connected);
      assertEquals(heldBy(binder), scene.cookies());
      assertEquals(holders(binder), [wanted.map(joinParts)]);
    });
  }
});

Deno.test("behind a socket that stays, the next binder is known by the end of the one before", async () => {
  await withLink(async (scene) => {
    let refuses = true;
    const answer = (next: Handler): Handler => (request, caller) => {
      if (request.method === "adopt" && refuses) throw new RpcError(RPC.notPermitted, "not you");
      return next(request, caller);
    };
    await using binder = await scene.start({ answer });
    const wanted = params(2);
    await scene.hold(...wanted);
    await until(() => binder.server.clients.size === 1);
    refuses = false;
    for (const { channel } of binder.server.clients) channel.dismiss();
    await until(() => binder.server.clients.attached.length === 1);
    assertEquals(holders(binder), [wanted.map(joinParts)]);
  });
});

Deno.test("another user's link is no attached one", async () => {
  await withLink(async (scene) => {
    await using binder = await scene.start({ trusts: () => false });
    const wanted = params(2);
    await scene.hold(...wanted);
    assertEquals(scene.cookies(), heldBy(binder));
    // What is left tells of the binder's end, and that alone.
    await until(() => binder.server.clients.size === 1);
    assertEquals(holders(binder), []);
    assertMatch(scene.log[0] ?? "", /takes no sockets back .*Not permitted: uid/);
  });
});

Deno.test("a process that will not stay asks for sockets, and nothing else", async () => {
  await withLink(async (scene) => {
    const methods: string[] = [];
    const answer = (next: Handler): Handler => (request, caller) => {
      methods.push(request.method);
      return next(request, caller);
    };
    await using binder = await scene.start({ answer });
    await scene.hold(...params(2));
    scene.link.keepTrying();
    await until(() => binder.server.clients.size === 0);
    assertEquals(methods, ["bind"]);
    assertStrictEquals(scene.link.connected, false);
  }, false);
});

Deno.test("requests at once do not mix their answers", async () => {
  await withLink(async (scene) => {
    await using binder = await scene.start();
    const wanted = params(5);
    await scene.hold(...wanted);
    const rounds = Array.from({ length: 20 }, (_, index) => {
      const param = wanted[index % wanted.length] ?? wanted[0];
      return [scene.link.bind([param], 0), scene.link.refresh().then((): Fd[] => [])];
    });
    const answers = await Promise.all(rounds.flat());
    const binds = answers.filter((fds) => fds.length > 0);
    assertEquals(
      binds.map((fds) => fds.map(socketCookie)),
      Array.from(binds, (_, index) => [scene.cookies()[index % wanted.length]]),
    );
    assertStrictEquals(binds.length, 20);
    binds.forEach(close);
    assertStrictEquals(binder.server.clients.counters.connections, 1);
  });
});

Deno.test("binds before there is a connection share one", async () => {
  await withLink(async (scene) => {
    await using binder = await scene.start();
    const wanted = params(5);
    await Promise.all(wanted.map((param) => scene.hold(param)));
    assertEquals(scene.cookies(), heldBy(binder));
    assertStrictEquals(binder.server.clients.counters.connections, 1);
  });
});

Deno.test("a binder that dies between request and answer gets the sockets back all the same", async () => {
  await withLink(async (scene) => {
    const [param, other] = params(2);
    assert(other);
    const asked = Promise.withResolvers<void>();
    const answer = (next: Handler): Handler => (request, caller) => {
      if (!JSON.stringify(request.params).includes(String(other.port))) {
        return next(request, caller);
      }
      asked.resolve();
      return new Promise<never>(() => {});
    };
    const first = await scene.start({ answer });
    await scene.hold(param);
    const fails = assertRejects(() => scene.link.bind([other], LONG), Error).then((error) =>
      assertObjectMatch(error, { code: "ECONNRESET" })
    );
    await asked.promise;
    await first[Symbol.asyncDispose]();
    await fails;
    assertStrictEquals(scene.link.connected, false);
    await using binder = await scene.start();
    await until(() => scene.link.connected);
    assertEquals(heldBy(binder), scene.cookies());
  });
});

Deno.test("an absent binder is waited for, if told so, and that is said once", async () => {
  await withLink(async (scene) => {
    const [param] = params(1);
    assertObjectMatch(await assertRejects(() => scene.link.bind([param], 0), Error), {
      code: "ENOENT",
    });
    assertStrictEquals(scene.logged("waiting"), 0);
    const bound = scene.link.bind([param], LONG);
    await scene.said("waiting for the binder");
    await using binder = await scene.start();
    const fds = await bound;
    assertEquals(fds.map(socketCookie), heldBy(binder));
    assertStrictEquals(scene.logged("waiting"), 1);
    close(fds);
  });
});

Deno.test("what an earlier program held is handed to a binder that comes later", async () => {
  await withLink(async (scene) => {
    const wanted = params(2);
    {
      await using _first = await scene.start();
      await scene.hold(...wanted);
    }
    const successor = new Scene(scene.sock);
    scene.link.close();
    successor.held.push(...scene.held.splice(0));
    successor.link.keepTrying();
    await using binder = await scene.start();
    await until(() => successor.link.connected);
    assertEquals(heldBy(binder), successor.cookies());
    successor.close();
  });
});

Deno.test("close ends the connection, and everything that waits for one", async () => {
  await withLink(async (scene) => {
    const [param] = params(1);
    {
      await using binder = await scene.start();
      await scene.hold(param);
      scene.link.close();
      assertStrictEquals(scene.link.connected, false);
      await until(() => binder.server.clients.size === 0);
    }
    assertStrictEquals(scene.logged("is gone"), 0, "our own end is not the binder's");

    const waiting = new Scene(scene.sock);
    waiting.link.keepTrying();
    const fails = assertRejects(() => waiting.link.bind([param], LONG));
    await waiting.said("waiting for the binder");
    waiting.link.close();
    await fails;
  });
});

Deno.test("close while the sockets are handed back ends that connection as well", async () => {
  await withLink(async (scene) => {
    const asked = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const answer = (next: Handler): Handler => async (request, caller) => {
      asked.resolve();
      await goOn.promise;
      return next(request, caller);
    };
    await using binder = await scene.start({ answer });
    scene.link.keepTrying();
    const fails = assertRejects(() => scene.link.bind(params(1), LONG));
    await asked.promise;
    scene.link.close();
    goOn.resolve();
    await fails;
    await until(() => binder.server.clients.size === 0);
    assertEquals(binder.requests, []);
  });
});
