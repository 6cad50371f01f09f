/** Makes the system calls of a binder fail, one at a time, and looks what its clients see of it. */

import "./libc.ts";
import type { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { ControlClient } from "../../src/control/client.ts";
import { NoBinderError, RefusedError } from "../../src/control/client_errors.ts";
import { type Binder, startBinder } from "./binder.ts";
import { settled } from "./poller.ts";
import { openFds } from "./process.ts";
import { hasEnded, until } from "./process_status.ts";
import { startProgram } from "./program.ts";
import { loopbackHost, tempDir } from "./temp_dir.ts";

/**
 * What a client does, by name, and the calls that the binder's own thread makes for it. Not among them is the
 * write(2) by which the runtime wakes its own thread: to an eventfd, where the kernel knows no such failure,
 * and the runtime would abort.
 */
const DEEDS = {
  bind: ["accept4", "getsockopt", "poll", "recvmsg", "socket", "setsockopt", "bind", "listen"],
  "bind unix:": ["socket", "openat", "flock", "bind", "statx", "listen"],
  "bind, port in use": ["openat", "read", "getdents64", "readlink"],
  adopt: ["recvmsg", "getsockname", "getsockopt", "socket", "fcntl"],
  unbind: ["close", "statx", "unlink"],
  status: ["sendmsg", "getsockopt", "shutdown", "close"],
  upgrade: ["memfd_create", "write", "clone3", "wait4", "pread64", "fcntl", "execve"],
} as const;

type Deed = keyof typeof DEEDS;

const ERRNOS = ["EINTR", "EAGAIN", "ENOMEM", "ECONNRESET", "EMFILE", "ENOBUFS"];

/** How many calls of a name are made to fail, each in a run of its own: a deed makes these at several places. */
const SEVERAL: Record<string, number> = { getsockopt: 3, poll: 3, recvmsg: 2, fcntl: 3, close: 2 };

/** One call that fails. */
export interface Fault {
  deed: Deed;
  call: string;
  /** Which of the calls of that name, from 1. */
  nth: number;
  errno: string;
}

/** What came of a fault. */
export interface Finding {
  fault: Fault;
  /** `served`, or what the client was told. */
  client: string;
  /** Whether a client that was connected before was served at the same time. */
  others: boolean;
  /** Whether the deed succeeds on the next try, of a new client. */
  recovered: boolean;
  /** Descriptors that the binder has too many. */
  leaked: number;
}

/** Every fault that is tried. */
export const FAULTS: readonly Fault[] = (Object.keys(DEEDS) as Deed[]).flatMap((deed) =>
  DEEDS[deed].flatMap((call) =>
    Array.from(
      { length: SEVERAL[call] ?? 1 },
      (_, index) => ERRNOS.map((errno) => ({ deed, call, nth: index + 1, errno })),
    ).flat()
  )
);

/** How long a client waits for an answer, in milliseconds. */
const PATIENCE = 10_000;

/** A binder whose system calls strace makes fail. One that dies of it is replaced. */
export class FaultyBinder implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly #poller = new Poller();
  readonly #folder = this.#resources.use(tempDir());
  readonly #host = loopbackHost();
  #binder: Binder | undefined;
  #count = 0;

  /** Makes a call fail. @returns what came of it; undefined when the deed does not make that call */
  async inject(fault: Fault): Promise<Finding | undefined> {
    const binder = this.#binder ??= this.#resources.use(await startBinder());
    const { pid } = binder.program;
    const [deed, again] = [
      await this.#prepare(binder, fault.deed),
      await this.#prepare(binder, fault.deed),
    ];
    using kept = this.#connect(binder);
    await kept.call("status", []);
    const before = openFds(pid).size;

    const trace = this.#folder.file("strace");
    const inject = `inject=${fault.call}:error=${fault.errno}:when=${fault.nth}`;
    let client: string, others: boolean, reached: boolean;
    {
      await using strace = startProgram(
        ["strace", "-p", String(pid), "-o", trace, "-e", `trace=${fault.call}`, "-e", inject],
      );
      await strace.waitFor(/attached/);
      const injected = () => Deno.readTextFileSync(trace).includes("(INJECTED)");
      let done = false;
      const outcome = deed().finally(() => done = true);
      // Not before: the call that fails is to be the deed's own.
      await until(() => done || injected());
      reached = injected();
      others = await kept.call("status", []).then(() => true, () => false);
      client = await outcome;
      // Without the binder it has ended by itself.
      if (!hasEnded(pid)) strace.signal("SIGTERM");
      await strace.exited;
    }
    if (hasEnded(pid)) {
      this.#binder = undefined;
      return { fault, client: "the binder died", others, recovered: false, leaked: 0 };
    }
    if (!reached) return undefined;
    const recovered = await again() === "served";
    // Two binds may have left their socket, as they should.
    const own = fault.call === "close" ? 1 : 0; // that strace has kept open
    const sockets = fault.deed.startsWith("bind") || fault.deed === "adopt" ? 2 : 0;
    let leaked = 0;
    try {
      await until(() => (leaked = openFds(pid).size - before - sockets - own) <= 0);
    } catch {
      this.#binder = undefined;
    }
    return { fault, client, others, recovered, leaked: Math.max(0, leaked) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await settled(this.#poller);
    await this.#resources.disposeAsync();
  }

  #connect({ sock }: Binder): ControlClient {
    return ControlClient.connect(sock, this.#poller, PATIENCE);
  }

  /** What a new client is to do once calls fail. It says what it has seen. */
  async #prepare(binder: Binder, deed: Deed): Promise<() => Promise<string>> {
    const unix = deed === "bind unix:" || deed === "unbind";
    const param = unix
      ? { address: `unix:${this.#folder.file(`site-${++this.#count}`)}` }
      : { address: this.#host, port: ++this.#count };
    const withClient = async (act: (client: ControlClient) => Promise<void>) => {
      using client = this.#connect(binder);
      await act(client);
    };
    const bind = async (client: ControlClient) => (await client.bind([param])).forEach(close);
    let act = bind;
    if (deed === "status" || deed === "upgrade") {
      act = async (client) => void await client.call(deed, []);
    } else if (deed === "unbind") {
      await withClient(bind);
      act = async (client) => void await client.call("unbind", [param]);
    } else if (deed === "adopt") {
      const fds: Fd[] = [];
      await withClient(async (client) => {
        fds.push(...await client.bind([param]));
        await client.call("unbind", [param]);
      });
      act = async (client) => {
        const [outcome] = await client.adopt([param], fds);
        if (outcome !== "adopted") throw new Error(outcome);
        fds.forEach(close);
      };
    } else if (deed === "bind, port in use") {
      const place = { hostname: this.#host, port: this.#count };
      act = async (client) => {
        using _other = Deno.listen(place);
        try {
          await bind(client);
        } catch (error) {
          if (!(error instanceof RefusedError) || error.data?.code !== "EADDRINUSE") throw error;
        }
      };
    }
    return async () => {
      try {
        await withClient(act);
        return "served";
      } catch (error) {
        if (error instanceof RefusedError) {
          return `error ${error.code} ${error.data?.code ?? ""}`.trim();
        }
        if (error instanceof NoBinderError) return `connection ended (${error.code})`;
        return error instanceof Error ? error.message : String(error);
      }
    };
  }
}

function close(fd: Fd): void {
  fd.close();
}
