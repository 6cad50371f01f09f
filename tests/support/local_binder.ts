/** A binder within this process, which speaks the real protocol over a real control socket. */

import "./libc.ts";
import type { Fd } from "../../ffi/fd.ts";
import { Poller } from "../../ffi/poll.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { socketCookie } from "../../ffi/socket.ts";
import { Holdings } from "../../src/binder/holdings.ts";
import { Ledger } from "../../src/binder/ledger.ts";
import { Listing } from "../../src/binder/listing.ts";
import { parsePatterns, Policy } from "../../src/binder/policy.ts";
import { Requests } from "../../src/binder/requests.ts";
import { DEFAULT_BACKLOG } from "../../src/sockets/listen.ts";
import { MAX_MESSAGE_BYTES } from "../../src/control/framing.ts";
import { createLog } from "../../src/log.ts";
import { listenOn, removeControlSocket } from "../../src/control/control_socket.ts";
import { type BindParam, parseBindParams, RPC, RpcError } from "../../src/control/messages.ts";
import { Clients } from "../../src/control/clients.ts";
import type { Handler } from "../../src/control/handler.ts";
import { ControlServer, DEFAULT_LIMITS } from "../../src/control/server.ts";
import type { Trouble } from "../../src/control/reports.ts";
import type { Held } from "../../src/sockets/held.ts";
import { Registry } from "../../src/sockets/registry.ts";
import { settled } from "./poller.ts";

/** A log that nobody reads. */
export const silentLog = createLog({ format: "text", level: "error" }, () => {});

const poller = new Poller();

/** A binder that is running; it is gone, and what it holds closed, at the end of the scope. */
export interface LocalBinder extends AsyncDisposable {
  /** The addresses that clients asked for, one entry a bind request. */
  readonly requests: BindParam[][];
  readonly log: readonly string[];
  readonly server: ControlServer;
  readonly registry: Registry;
  readonly ledger: Ledger;
  /** What it holds. */
  held(): Held[];
}

export interface LocalBinderOptions {
  /** Replaces the true answers; call `next` for them. */
  answer?: (next: Handler) => Handler;
  /** Milliseconds in which sockets of a binder before may be handed back. */
  handBackTime?: number;
  /** Who may hand sockets back, and upgrade it. */
  trusts?: (uid: number) => boolean;
  /** Patterns of addresses that clients may ask for. */
  allow?: readonly string[];
  /** Options that everybody may ask for. */
  allowOption?: readonly string[];
  upgrade?: () => Promise<never>;
  troubles?: readonly Trouble[];
}

/**
 * Starts one.
 * @param sock path of its control socket
 */
export async function startLocalBinder(
  sock: string,
  options: LocalBinderOptions = {},
): Promise<LocalBinder> {
  const patterns = await parsePatterns(options.allow ?? ["*"]);
  const policy = new Policy({ ...patterns, options: options.allowOption ?? [] });
  const control = listenOn(sock, 0o600);
  const registry = new Registry(DEFAULT_BACKLOG);
  const requests: BindParam[][] = [];
  const lines: string[] = [];
  const log = createLog({ format: "text", level: "debug" }, (line) => lines.push(line));
  const ledger = new Ledger();
  const trusts = options.trusts ?? ((uid) => uid === effectiveUid());
  const refuse = () => Promise.reject(new RpcError(RPC.failed, "no upgrade here"));
  const clients = new Clients();
  const parts = {
    registry,
    store: { keep: () => {}, release: () => {} },
    own: { texts: [] },
    clients: { attached: [] },
    log,
  };
  const listing = new Listing({
    registry,
    ledger,
    clients,
    alarm: { troubles: options.troubles ?? [] },
  });
  const { handle } = new Requests({
    holdings: new Holdings(parts, options.handBackTime ?? 0),
    policy,
    log,
    ledger,
    view: {
      page: (from) => listing.page(from),
      status: () => Promise.resolve({ role: "binder" }),
      metricsText: () => Promise.resolve(""),
    },
    access: { trusts, mayAdopt: trusts },
    isControl: (fd: Fd) => socketCookie(fd) === socketCookie(control.fd),
    reload: () => Promise.resolve("nothing has changed"),
    upgrade: options.upgrade ?? refuse,
  });
  const record: Handler = (request, caller) => {
    if (request.method === "bind") requests.push(parseBindParams(request.params));
    return handle(request, caller);
  };
  const answer = options.answer?.(record) ?? record;
  const rights = ({ uid }: { uid: number }) => ({
    served: true,
    trusted: trusts(uid),
    maxFds: trusts(uid) ? 1000 : 0,
    maxBytes: MAX_MESSAGE_BYTES,
  });
  const server = new ControlServer(
    control.fd,
    poller,
    answer,
    log,
    rights,
    DEFAULT_LIMITS,
    clients,
  );
  const running = server.run();
  return {
    requests,
    log: lines,
    server,
    registry,
    ledger,
    held: () => registry.list(),
    [Symbol.asyncDispose]: async () => {
      removeControlSocket({ ...control, fd: control.fd.duplicate() });
      server.close();
      await running;
      registry.close();
      await settled(poller);
    },
  };
}
