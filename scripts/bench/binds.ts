/** What it costs to get sockets, from whom they can be had. */

import { type Binder, startBinder } from "../../tests/support/binder.ts";
import { until } from "../../tests/support/process_status.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { measure, type Result, spreadOf } from "./experiment.ts";
import { OURS } from "./ways.ts";

/** The compiled passing.c. */
export const PASSING = Deno.env.get("BENCH_PASSING") ?? "";

const C_LOOP = "a loop in C";
const RUBY = "a Ruby server";

/** The path of a file beside this one. */
export function fileOf(name: string): string {
  return new URL(name, import.meta.url).pathname;
}

/** Runs a program to its end. @param stop tells it to end @returns its output */
export async function outputOf(
  [file = "", ...args]: readonly string[],
  env: Record<string, string> = {},
  stop?: AbortSignal,
): Promise<string> {
  const child = new Deno.Command(file, { args, env, stdout: "piped", stderr: "piped" }).spawn();
  stop?.addEventListener("abort", () => child.kill("SIGTERM"));
  const { success, stdout, stderr } = await child.output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`${file} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** How long it takes to run a command, in milliseconds: the median of some times. */
export async function timeOf(
  command: readonly string[],
  times: number,
  knock = "-",
  env: Record<string, string> = {},
): Promise<number> {
  const output = await outputOf([PASSING, "times", `${times}`, knock, ...command], env);
  return spreadOf(JSON.parse(output)).median;
}

/** How to ask for sockets. */
export interface Asking {
  sock: string;
  host: string;
  kept?: boolean;
  clients?: number;
  seconds: number;
  /** Sockets at a time, of this port and the next ones. */
  count?: number;
  port?: number;
}

/** How long the requests took, in microseconds. */
export interface Times {
  count: number;
  median: number;
  p99: number;
  worst: number;
}

/** Asks again and again, from C. @param stop ends it before its time */
export async function ask(asking: Asking, stop?: AbortSignal): Promise<Times> {
  const { sock, host, kept = false, clients = 1, seconds, count = 1, port = 20_000 } = asking;
  const kind = kept ? "kept" : "fresh";
  const words = [kind, clients, seconds, count, host, port].map(String);
  return JSON.parse(await outputOf([PASSING, "ask", sock, ...words], {}, stop));
}

/** Starts a program that listens at a UNIX socket, and waits until it does. */
export async function startServer(
  stack: AsyncDisposableStack,
  argv: readonly [string, ...string[]],
  sock: string,
): Promise<Program> {
  const program = stack.use(startProgram(argv));
  await until(() =>
    !program.ended && Deno.connect({ transport: "unix", path: sock })
      .then((connection) => (connection.close(), true), () => false)
  );
  return program;
}

/** A bind, by one client and by many. */
export async function binds(isQuick: boolean): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(tempDir());
  const [ruby, loop] = [folder.file("ruby"), folder.file("c")];
  await startServer(stack, ["ruby", fileOf("old_binder.rb"), ruby], ruby);
  await startServer(stack, [PASSING, "serve", loop, loopbackHost(), "20000"], loop);
  const { sock } = stack.use(await startBinder());
  const seconds = isQuick ? 0.2 : 0.3;
  const contender = (sock: string) => {
    const one = { sock, host: loopbackHost(), seconds };
    const python = async (kind: string) => {
      const words = [sock, kind, `${seconds}`, one.host, "20000"];
      return Number(await outputOf(["python3", fileOf("ask.py"), ...words]));
    };
    return async () => [
      (await ask({ ...one, kept: true })).median,
      (await ask(one)).median,
      // The original serves one client at a time: all others with kept connections wait for ever.
      sock === ruby ? NaN : (await ask({ ...one, kept: true, clients: 50 })).median,
      (await ask({ ...one, clients: 50 })).median,
      await python("kept"),
      await python("fresh"),
    ];
  };
  return await measure({
    title: "A bind, in microseconds",
    about:
      "The same socket again and again, on a kept connection and on fresh ones, by one client and by " +
      "50 at once, in C; and by a client in Python. The Ruby server is a stand-in that speaks the " +
      "original's protocol and does nothing else; the loop in C answers without reading the request, " +
      "which is as fast as it can be.",
    columns: [
      { name: "kept", kind: "ratio" },
      { name: "fresh", kind: "ratio" },
      { name: "50 kept", kind: "ratio" },
      { name: "50 fresh", kind: "ratio" },
      { name: "Python, kept", kind: "ratio" },
      { name: "Python, fresh", kind: "ratio" },
    ],
    reference: RUBY,
    rounds: isQuick ? 2 : 5,
    contenders: {
      [OURS]: contender(sock),
      [RUBY]: contender(ruby),
      [C_LOOP]: contender(loop),
    },
  });
}

/** Holds sockets of a host, of ports from 20,000 on. */
export async function holding(
  stack: AsyncDisposableStack,
  count: number,
): Promise<{ binder: Binder; host: string }> {
  const binder = stack.use(await startBinder());
  const host = loopbackHost();
  for (let port = 20_000; port < 20_000 + count; port += 1000) {
    const asked = Math.min(1000, 20_000 + count - port);
    await ask({ sock: binder.sock, host, seconds: 0, count: asked, port });
  }
  return { binder, host };
}

/** Many sockets at a time. */
export async function batches(isQuick: boolean): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const { binder, host } = await holding(stack, 10_000);
  const sock = stack.use(tempDir()).file("c");
  await startServer(stack, [PASSING, "serve", sock, loopbackHost(), "20000"], sock);
  const contender = (sock: string) => async () => {
    const numbers: number[] = [];
    for (const count of [1, 1000, 10_000]) {
      const { median } = await ask({ sock, host, count, seconds: isQuick ? 0.2 : 0.5, kept: true });
      numbers.push(median / 1000);
    }
    return numbers;
  };
  return await measure({
    title: "Many sockets in one request, in milliseconds",
    about: "10,000 sockets are held. The kernel passes at most 253 descriptors a message.",
    columns: ["1", "1,000", "10,000"].map((name) => ({ name, digits: 2, kind: "ratio" })),
    reference: C_LOOP,
    rounds: isQuick ? 2 : 5,
    contenders: { [OURS]: contender(binder.sock), [C_LOOP]: contender(sock) },
  });
}

/** A bind with few and with many sockets held. */
export async function held(isQuick: boolean): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const counts = isQuick ? [10, 10_000] : [10, 15_000];
  const contenders: [string, () => Promise<number[]>][] = [];
  for (const count of counts) {
    const { binder: { sock }, host } = await holding(stack, count);
    const contender = async () => [(await ask({ sock, host, seconds: 0.4, kept: true })).median];
    contenders.push([`${count.toLocaleString("en-US")} held`, contender]);
  }
  return await measure({
    title: "A bind while many sockets are held, in microseconds",
    about: "On a kept connection, of one that is held.",
    columns: [{ name: "us", kind: "ratio" }],
    reference: "10 held",
    rounds: isQuick ? 3 : 7,
    contenders: Object.fromEntries(contenders),
  });
}
