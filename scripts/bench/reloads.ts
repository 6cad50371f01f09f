/** What replacing a server costs those who use it. */

import { HttpConnection } from "../../tests/support/http_client.ts";
import { hasStopped } from "../../tests/support/haproxy.ts";
import { listeningSockets, processorTime } from "../../tests/support/process.ts";
import { hasEnded, processStatus, signalsIn, until } from "../../tests/support/process_status.ts";
import { SlowBackend } from "../../tests/support/slow_backend.ts";
import { WAITING, Waiting } from "../../tests/support/waiting.ts";
import { outputOf } from "./binds.ts";
import { measure, type Result, spreadOf } from "./experiment.ts";
import { eachWay, OURS, pause, SETTLED, Site, WAYS } from "./ways.ts";
import { load } from "./wrk.ts";

type Way = (typeof WAYS)[keyof typeof WAYS];

/** SIGUSR1, as in signal(7). */
const SOFT_STOP = 10;

/** Connections lost of those that wait in the accept queue. */
export function queued(isQuick: boolean): Promise<Result> {
  return measure({
    title: `Connections lost of ${WAITING} that wait in the accept queue`,
    about:
      "A server is reloaded while it accepts nothing: since it hangs (it is suspended, and goes on " +
      "once the next one is up), or since it has as many connections as its `maxconn` allows. The sum " +
      "of all rounds.",
    columns: [{ name: "it hangs", kind: "sum" }, { name: "at its `maxconn`", kind: "sum" }, {
      name: "of",
      kind: "sum",
    }],
    rounds: isQuick ? 1 : 2,
    contenders: eachWay((way) => async () => [
      await lost(way, "hangs"),
      await lost(way, "is full"),
      WAITING,
    ]),
  });
}

async function lost(way: Way, why: "hangs" | "is full"): Promise<number> {
  using backend = new SlowBackend();
  const { frontend, rest } = backend.options;
  const full = ["maxconn 1", "backlog 1024", ...frontend ?? []];
  await using site = await Site.start(
    way,
    why === "hangs" ? {} : { frontend: full, rest: rest ?? [] },
  );
  const old = site.server;
  using stack = new DisposableStack();
  let goOn = () => Promise.resolve(Deno.kill(old, "SIGCONT"));
  if (why === "hangs") {
    Deno.kill(old, "SIGSTOP");
    await until(() => processStatus(old, "State")?.startsWith("T") ?? false);
  } else {
    const slow = stack.use(await HttpConnection.open(site.target));
    await slow.send("/slow", ["Connection: close"]);
    const request = stack.use(await backend.request());
    goOn = () => request.answer("slow");
  }
  const waiting = stack.use(new Waiting());
  await waiting.open(site.target);
  site.next();
  // One that hangs may keep the next one from ever coming up.
  await within(5000, () => site.server !== old && listeningSockets(site.server).length > 0);
  await within(3000, () => isTold(old));
  await goOn();
  return (await waiting.replies()).get("lost") ?? 0;
}

/** Whether a process has been told to stop softly. */
function isTold(pid: number): boolean {
  return signalsIn(pid, "ShdPnd").includes(SOFT_STOP) || listeningSockets(pid).length === 0;
}

async function within(milliseconds: number, holds: () => boolean): Promise<void> {
  for (const start = performance.now(); performance.now() - start < milliseconds;) {
    try {
      if (holds()) return;
    } catch {
      // A process is just beginning or ending.
    }
    await pause(5);
  }
}

/** Requests while the server is reloaded again and again. */
export function underLoad(isQuick: boolean): Promise<Result> {
  const seconds = isQuick ? 2 : 3;
  const quiet = async () => {
    await using site = await Site.start(WAYS["HAProxy, `-sf`"]);
    const { requests, errors, p99, worst } = await load(site.target, seconds);
    return [errors, requests, 0, p99, worst];
  };
  return measure({
    title: "Requests while the server is reloaded",
    about:
      `wrk, 20 requests at a time, each on a new connection, for ${seconds} s a round. A reload every ` +
      "0.25 s; Server::Starter waits for a second each time.",
    columns: [
      { name: "errors", kind: "sum" },
      { name: "requests", kind: "sum" },
      { name: "reloads", kind: "sum" },
      { name: "p99, ms", kind: "ratio", digits: 1 },
      { name: "longest, ms", kind: "ratio", digits: 1 },
    ],
    reference: "no reload",
    rounds: isQuick ? 1 : 5,
    contenders: {
      ...eachWay((way) => () => reloadsUnderLoad(way, seconds)),
      "no reload": quiet,
    },
  });
}

async function reloadsUnderLoad(way: Way, seconds: number): Promise<number[]> {
  await using site = await Site.start(way);
  let isOver = false;
  const loading = load(site.target, seconds).finally(() => isOver = true);
  let reloads = 0;
  while (!isOver) {
    const next = pause(250);
    await site.reload();
    if (!isOver) reloads++;
    await next;
  }
  const { requests, errors, p99, worst } = await loading;
  return [errors, requests, reloads, p99, worst];
}

/** The time of a reload. */
export function reloadTime(): Promise<Result> {
  return measure({
    title: "From the signal to the first answer of the next generation",
    about:
      "An idle site; the median of some reloads a round. multibinder has the config checked first, and " +
      "`-W` does not.",
    columns: [{ name: "ms", kind: "ratio" }],
    reference: "HAProxy, `-W`",
    rounds: 2,
    contenders: eachWay((way) => async () => {
      await using site = await Site.start(way);
      const times: number[] = [];
      for (let count = 0; count < 5; count++) {
        const old = site.server;
        times.push(await site.reload());
        await until(() => hasEnded(old));
        await pause(SETTLED);
      }
      return [spreadOf(times).median];
    }),
  });
}

/** Throughput while an old generation drains: each way, and with other HAProxys ours. */
export async function draining(isQuick: boolean): Promise<Result> {
  const contenders: Record<string, () => Promise<number[]>> = {};
  const [first, ...others] = (Deno.env.get("BENCH_HAPROXYS") ?? "haproxy").split(":");
  for (const haproxy of [first, ...isQuick ? [] : others].filter((one) => one !== undefined)) {
    const version = /version (\d+\.\d+)/.exec(await outputOf([haproxy, "-v"]))?.[1];
    for (const [name, way] of Object.entries(WAYS)) {
      if (haproxy !== first && name !== OURS) continue;
      contenders[`${version}: ${name}`] = () => besideOneThatDrains(way, haproxy, isQuick ? 1 : 2);
    }
  }
  return await measure({
    title: "Requests while an old generation drains",
    about:
      "It has one request that does not end. wrk, 20 requests at a time, each on a new connection: " +
      "requests a second as a ratio to those of the same site with nobody draining, p99 likewise, and " +
      "the processor time of the old one. Server::Starter's rows are what multibinder's would be without " +
      "[the cure](draining.md).",
    columns: [
      { name: "requests a second, times", kind: "median", digits: 2 },
      { name: "p99, times", kind: "median", digits: 2 },
      { name: "old one, % of a core", kind: "median" },
    ],
    rounds: isQuick ? 1 : 3,
    contenders,
  });
}

async function besideOneThatDrains(
  way: Way,
  haproxy: string,
  seconds: number,
): Promise<number[]> {
  using backend = new SlowBackend();
  await using site = await Site.start(way, backend.options, haproxy);
  const old = site.server;
  using slow = await HttpConnection.open(site.target);
  await slow.send("/slow", ["Connection: close"]);
  using _request = await backend.request();
  await site.reload();
  await hasStopped(old);
  // Whatever is done about it is done by then.
  await pause(500);
  const before = processorTime(old);
  const beside = await load(site.target, seconds);
  const share = 100 * (processorTime(old) - before) / seconds;
  Deno.kill(old, "SIGKILL");
  await until(() => hasEnded(old));
  const alone = await load(site.target, seconds);
  return [beside.rate / alone.rate, beside.p99 / alone.p99, share];
}

/** Requests through a socket of the binder's, against one that HAProxy has bound. */
export async function path(isQuick: boolean): Promise<Result> {
  await using direct = await Site.start(WAYS["HAProxy, `-sf`"]);
  await using ours = await Site.start(WAYS[OURS]);
  const seconds = 1;
  const contender = ({ target }: Site) => async () => {
    const fresh = await load(target, seconds);
    const kept = await load(target, seconds, true);
    return [fresh.rate, fresh.p99, kept.rate, kept.p99];
  };
  return await measure({
    title: "Requests through a socket of multibinder's",
    about:
      "wrk, 20 requests at a time, on new connections and on kept ones, to a HAProxy with `fd@` and to " +
      "one with a bind of its own. Either is a listening socket of the kernel's.",
    columns: [
      { name: "new: requests/s", kind: "ratio" },
      { name: "p99, ms", kind: "ratio", digits: 2 },
      { name: "kept: requests/s", kind: "ratio" },
      { name: "p99, ms", kind: "ratio", digits: 2 },
    ],
    reference: "HAProxy's own bind",
    rounds: isQuick ? 2 : 9,
    contenders: { "HAProxy's own bind": contender(direct), [OURS]: contender(ours) },
  });
}
