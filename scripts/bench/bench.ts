/** Runs the benchmark; scripts/bench.sh explains it. */
// deno-lint-ignore-file no-console -- a script speaks to the terminal

import { numbersOf, tableOf } from "./experiment.ts";
import { EXPERIMENTS, type Results } from "./experiments.ts";
import { type Machine, page, picture, summary } from "./page.ts";
import { OURS } from "./ways.ts";

const isQuick = Deno.args.includes("--quick");

async function textOf(...[file = "", ...args]: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(file, { args }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** What a program's output says of its version. */
async function version(name: string, pattern: RegExp, ...argv: string[]): Promise<string> {
  const found = pattern.exec(await textOf(...argv));
  return `${name} ${found?.[1] ?? "of an unknown version"}`;
}

async function machine(): Promise<Machine> {
  const debian = (name: string) => version(name, /^(\S+)$/m, "dpkg-query", "-Wf${Version}", name);
  const versions = await Promise.all([
    version("multibinder", /(\S+)$/m, Deno.env.get("MULTIBINDER_BIN") ?? "", "--version"),
    version("HAProxy", /version (\S+)/, "haproxy", "-v"),
    ...["s6", "libserver-starter-perl", "systemd", "ruby", "wrk"].map(debian),
    version("Python", /(\S+)$/m, "python3", "--version"),
    version("gcc", /(\S+)$/m, "gcc", "-dumpfullversion"),
  ]);
  const cpu = Deno.readTextFileSync("/proc/cpuinfo");
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: /^model name\s*: (.*)$/m.exec(cpu)?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    memory: `${Math.round(Deno.systemMemoryInfo().total / 2 ** 30)} GiB`,
    kernel: `${Deno.osRelease()} (${Deno.build.arch})`,
    load: Deno.loadavg()[0] ?? 0,
    versions: versions.join(", "),
    minutes: 0,
    isQuick,
  };
}

/** How many connections ours has lost, which must be none. */
function lost({ queued, underLoad }: Results): number {
  const all = [
    ...queued ? [...numbersOf(queued, OURS, 0), ...numbersOf(queued, OURS, 1)] : [],
    ...underLoad ? numbersOf(underLoad, OURS, 0) : [],
  ];
  return all.reduce((sum, one) => sum + one, 0);
}

const only = Deno.args.includes("--only")
  ? Deno.args.filter((word) => !word.startsWith("--"))
  : undefined;
const found = await machine();
const results: Results = {};
for (const [name, experiment] of Object.entries(EXPERIMENTS)) {
  if (only && !only.includes(name)) continue;
  try {
    const result = await experiment(isQuick);
    results[name as keyof Results] = result;
    console.log(`\n## ${result.title}\n\n${tableOf(result)}`);
  } catch (error) {
    // What has been measured is worth its page.
    console.error(`${name} failed:`, error);
    Deno.exitCode = 1;
  }
}
found.minutes = performance.now() / 60_000;

const root = new URL("../../", import.meta.url).pathname;
if (!only) {
  const folder = isQuick ? `${root}dist/benchmarks` : `${root}docs`;
  Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(`${folder}/benchmarks.md`, page(results, found));
  Deno.writeTextFileSync(`${folder}/benchmarks.svg`, picture(results));
  if (isQuick) Deno.writeTextFileSync(`${folder}/results.json`, JSON.stringify({ found, results }));
  else {
    const readme = Deno.readTextFileSync(`${root}README.md`);
    const table = /^\|[^\n]*measured[^]*?\n(?!\|)/m;
    Deno.writeTextFileSync(
      `${root}README.md`,
      readme.replace(table, () => `${summary(results)}\n`),
    );
  }
}
console.log(`\n${found.minutes.toFixed(1)} minutes`);
const count = lost(results);
if (count > 0) {
  console.error(`multibinder has lost ${count} connections, and must not lose any`);
  Deno.exitCode = 1;
}
