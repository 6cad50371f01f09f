/** docs/benchmarks.md, its plot, and the table in README. */

import type { Results } from "./experiments.ts";
import { numbersOf, ratiosOf, type Result, spreadOf, tableOf, writeSpread } from "./experiment.ts";
import { type Panel, plot } from "./plot.ts";
import { targetsTable } from "./targets.ts";
import { OURS, WAYS } from "./ways.ts";

/** Where and with what was measured. */
export interface Machine {
  date: string;
  processor: string;
  cores: number;
  memory: string;
  kernel: string;
  /** Processes that ran or waited to run before it began, on average of the last minute. */
  load: number;
  /** Names and versions of all programs. */
  versions: string;
  /** How long it took, in minutes. */
  minutes: number;
  isQuick: boolean;
}

/** The page. */
export function page(results: Results, machine: Machine): string {
  const { date, processor, cores, memory, kernel, load, versions, minutes, isQuick } = machine;
  const how = isQuick ? " and with `--quick`" : "";
  const busy = load > 1
    ? ` **The machine was busy with other work** (load average ${
      load.toFixed(1)
    } before it began): look at ` +
      "the spread of the ratios: where it is wide they say nothing."
    : "";
  return `# Benchmarks

_For whoever wants to know what it costs, against what one would use instead._

![Bars of the main results](benchmarks.svg)

Written by \`scripts/bench.sh\`, which takes some eight minutes (\`--quick\`: under two) and gets what it needs:
let nothing else run meanwhile. A ratio is that of two numbers from one round, one after the other; what
stands there is the median of all rounds and, in brackets, the least and the greatest. Milliseconds and
requests a second are this machine's, and say little about another one.

On ${date}, in ${
    minutes.toFixed(0)
  } minutes${how}: ${processor}, ${cores} cores, ${memory}, Linux ${kernel}.${busy}
${versions}. All of it runs on this one machine, over loopback; \`exec\` with \`--settle 20ms\`.

## What was wanted

${targetsTable(results)}

${
    Object.values(results).map((result) =>
      `## ${result.title}\n\n${result.about}\n\n${tableOf(result)}\n`
    ).join("\n")
  }`;
}

/** The plot. */
export function picture(results: Results): string {
  const { queued, underLoad, draining, reloadTime } = results;
  const panels: Panel[] = [];
  const add = (
    result: Result | undefined,
    panel: Pick<Panel, "title" | "note" | "write">,
    valuesOf: (result: Result, way: string) => number[],
  ) => {
    if (result === undefined) return;
    const bars = Object.keys(WAYS).map((way) => ({
      name: way.replaceAll("`", ""),
      values: valuesOf(result, way),
      isOurs: way === OURS,
    }));
    panels.push({ ...panel, bars });
  };
  const whole = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  add(queued, {
    title: "Connections lost of 600 in the queue",
    note: "300 of a server that hangs, 300 of one at its maxconn",
    write: whole,
  }, (result, way) => {
    const full = numbersOf(result, way, 1);
    return numbersOf(result, way, 0).map((hung, round) => hung + (full[round] ?? 0));
  });
  add(draining, {
    title: "Requests a second beside one that drains",
    note: "of those with nobody draining; HAProxy 2.6",
    write: (value) => `${(100 * value).toFixed(0)} %`,
  }, (result, way) => {
    const name = Object.keys(result.rows).find((name) => name.endsWith(`: ${way}`));
    return numbersOf(result, name ?? "", 0);
  });
  add(underLoad, {
    title: "The longest request during reloads",
    note: "under load, a reload every 0.25 s; less is better",
    write: (value) => `${value.toFixed(0)} ms`,
  }, (result, way) => numbersOf(result, way, 4));
  add(reloadTime, {
    title: "From the signal to the first new answer",
    note: "an idle site; multibinder has the config checked first",
    write: (value) => `${value.toFixed(0)} ms`,
  }, (result, way) => numbersOf(result, way, 0));
  return plot("multibinder beside other ways to reload a HAProxy", panels);
}

/** The rows of README's table. */
export function summary({ queued, underLoad, path, draining }: Results): string {
  const plain = "HAProxy, `-sf`";
  const sum = (result: Result, name: string, column: number) =>
    numbersOf(result, name, column).reduce((all, one) => all + one, 0).toLocaleString("en-US");
  const rows: string[][] = [];
  if (queued) {
    const of = sum(queued, OURS, 2);
    rows.push([
      `connections lost of ${of} in the queue of a server at its \`maxconn\`, at a reload`,
      sum(queued, OURS, 1),
      sum(queued, plain, 1),
    ]);
  }
  if (underLoad) {
    const cell = (name: string) =>
      `${sum(underLoad, name, 0)} of ${sum(underLoad, name, 1)} in ${
        sum(underLoad, name, 2)
      } reloads`;
    rows.push(["requests that fail under load", cell(OURS), cell(plain)]);
  }
  if (path) {
    rows.push([
      "requests a second, of those through a direct bind",
      writeSpread(ratiosOf(path, OURS, 0), 2),
      "1",
    ]);
  }
  if (draining) {
    const cell = (way: string) => {
      const name = Object.keys(draining.rows).find((name) => name.endsWith(`: ${way}`)) ?? "";
      return writeSpread(spreadOf(numbersOf(draining, name, 0)), 2);
    };
    rows.push([
      "the same while an old generation drains, of those without",
      cell(OURS),
      cell(plain),
    ]);
  }
  return [["[measured](docs/benchmarks.md)", "multibinder", "HAProxy's plain `bind` and `-sf`"], [
    "---",
    "---",
    "---",
  ], ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
