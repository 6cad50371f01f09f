/**
 * What looking costs: how long a bind takes with 10,000 sockets held, alone, while `multibinder ls` runs once a
 * second, and while the metrics are scraped once a second; and how long these take.
 *
 *     MULTIBINDER_BIN=dist/multibinder deno run --allow-all scripts/bench/looks.ts [SOCKETS]
 */
// deno-lint-ignore-file no-console -- a script speaks to the terminal
import { multibinder, startBinder } from "../../tests/support/binder.ts";
import { ControlConnection } from "../../tests/support/control_client.ts";
import { runProgram } from "../../tests/support/program.ts";
import { loopbackHost } from "../../tests/support/temp_dir.ts";

/** Seconds of each half. */
const SECONDS = 10;
/** Milliseconds between two binds. */
const PAUSE = 2;

const count = Number(Deno.args[0] ?? 10_000);
const hosts = Array.from({ length: Math.ceil(count / 10_000) }, loopbackHost);
const metrics = `${loopbackHost()}:9601`;
await using binder = await startBinder([], { args: ["--metrics", metrics] });
using connection = await ControlConnection.open(binder.sock);
const params = Array.from({ length: count }, (_, index) => {
  return { address: hosts[Math.floor(index / 10_000)] ?? "", port: 20_000 + index % 10_000 };
});
for (let at = 0; at < count; at += 100) await connection.bind(...params.slice(at, at + 100));
console.log(`${count} sockets held`);

/** Milliseconds that each bind of a socket that is held took. */
async function bindFor(seconds: number): Promise<number[]> {
  const took: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const start = performance.now();
    const [param] = params;
    if (param) await connection.bind(param);
    took.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return took.sort((a, b) => a - b);
}

function describe(name: string, took: readonly number[]): void {
  const at = (share: number) => (took[Math.floor(share * (took.length - 1))] ?? 0).toFixed(2);
  console.log(
    `${name}: ${took.length} binds, median ${at(0.5)} ms, p99 ${at(0.99)} ms, p99.9 ${
      at(0.999)
    } ms, worst ${at(1)} ms`,
  );
}

/** Binds while a program is run once a second. */
async function whileRunning(name: string, words: [string, ...string[]]): Promise<void> {
  const looks: number[] = [];
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      const start = performance.now();
      const { code, stderr } = await runProgram(words);
      if (code !== 0) throw new Error(stderr);
      looks.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, 1000 - (looks.at(-1) ?? 0))));
    }
  })();
  describe(`with ${name} once a second`, await bindFor(SECONDS));
  isOver = true;
  await looking;
  looks.sort((a, b) => a - b);
  const median = looks[Math.floor(looks.length / 2)] ?? 0;
  console.log(`${name}: ${looks.length} times, median ${median.toFixed(0)} ms`);
}

describe("alone", await bindFor(SECONDS));
await whileRunning("ls", [multibinder(), "ls", "--sock", binder.sock]);
await whileRunning("curl", ["curl", "-sSf", "-o", "/dev/null", `http://${metrics}/metrics`]);
