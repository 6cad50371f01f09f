/** What the project holds itself to, and how far it is from that. */

import {
  numbersOf,
  ratiosOf,
  type Result,
  type Spread,
  spreadOf,
  writeSpread,
} from "./experiment.ts";
import type { Results } from "./experiments.ts";

interface Target {
  what: string;
  /** The bound. */
  most?: number;
  least?: number;
  unit?: "MB";
  measured(results: Results): Spread | undefined;
  /** Why it is not reached, for as long as it is not. */
  why?: string;
}

/** The spread of a contender's ratio to another one's. */
function ratio(name: keyof Results, contender: string, column = 0, to?: string) {
  return (results: Results) => {
    const result = results[name];
    return result && ratiosOf(result, contender, column, to);
  };
}

function more(result: Result | undefined, name: string, than: string): Spread | undefined {
  if (result === undefined) return undefined;
  const others = numbersOf(result, than, 0);
  return spreadOf(numbersOf(result, name, 0).map((value, at) => value - (others[at] ?? NaN)));
}

const HELLO = "a compiled hello world, waiting";
const BINDER = "`multibinder bind`";

const TARGETS: readonly Target[] = [
  {
    what: "requests a second on new connections, of those through a direct bind",
    least: 0.99,
    measured: ratio("path", "multibinder"),
  },
  {
    what: "the same on kept connections",
    least: 0.99,
    measured: ratio("path", "multibinder", 2),
  },
  {
    what: "requests a second beside one that drains, of those with nobody draining",
    least: 0.95,
    measured: ({ draining: result }) => {
      const ours = Object.keys(result?.rows ?? {}).find((name) => name.endsWith(": multibinder"));
      return result && ours ? spreadOf(numbersOf(result, ours, 0)) : undefined;
    },
  },
  {
    what: "a bind with 10,000 or more sockets held, of one with 10 held",
    most: 1.3,
    measured: ({ held: result }) =>
      result && ratiosOf(result, Object.keys(result.rows).at(-1) ?? "", 0),
  },
  {
    what: "a client's longest wait in an upgrade, of a compiled hello world's start",
    most: 1.6,
    measured: ratio("upgrades", "upgrade, 2 sockets held"),
    why:
      "loading the binder's modules takes the processor nearly as long again as the start of the runtime, and " +
      "one file of them all (`deno bundle`) is no faster",
  },
  {
    what: "the same with 10,000 sockets held",
    most: 2.5,
    measured: ratio("upgrades", "upgrade, 10,000 sockets held"),
    why:
      "a start of the runtime comes first, and each socket's entry in the state is read field by field",
  },
  {
    what: "1,000 bind lines rendered and checked, of `--version`",
    most: 3,
    measured: ratio("checks", "`multibinder exec -- haproxy -c`"),
    why: "HAProxy's own check is a part of it, and 1,000 sockets are looked at one by one",
  },
  {
    what: "signal to the first answer, of `haproxy -W`'s own",
    most: 1.5,
    measured: ratio("reloadTime", "multibinder"),
    why: "the check before it is a start of HAProxy of its own, which `-W` does not make",
  },
  {
    what: "a Python client's bind, kept connection, of the Ruby server's",
    most: 1,
    measured: ratio("binds", "multibinder", 4),
    why: "a request passes through JavaScript and its event loop",
  },
  {
    what: "a Python client's bind, fresh connection, of the Ruby server's",
    most: 1,
    measured: ratio("binds", "multibinder", 5),
    why: "as above, and the kernel is asked who connects",
  },
  {
    what: "a bind of 50 clients at once, of the Ruby server's",
    most: 1,
    measured: ratio("binds", "multibinder", 3),
    why: "as above",
  },
  {
    what: "anonymous memory of an idle binder, beyond a hello world's",
    most: 4,
    unit: "MB",
    measured: ({ memory }) => more(memory, BINDER, HELLO),
    why: "V8's heap with the program's modules, in pages of 256 KiB",
  },
  {
    what: "the same after work, beyond the idle binder's",
    most: 4,
    unit: "MB",
    measured: ({ memory }) => more(memory, "the same, after work", BINDER),
    why:
      "V8 collects only when it allocates. Tried: with malloc_trim(3) 13 MB in place of 18, with a collection " +
      "forced each second as well 7, for pauses that clients feel",
  },
];

/** A table of them, as Markdown. */
export function targetsTable(results: Results): string {
  const rows = TARGETS.flatMap(({ what, most, least, unit, measured, why }) => {
    const found = measured(results);
    if (found === undefined) return [];
    const isReached = most === undefined ? found.median >= (least ?? 0) : found.median <= most;
    const bound = most === undefined ? `at least ${least}` : `at most ${most}`;
    const verdict = isReached ? "yes" : why === undefined ? "no" : `no: ${why}`;
    return [[what, unit ? `${bound} ${unit}` : bound, writeSpread(found, unit ? 1 : 2), verdict]];
  });
  return [["what", "wanted", "measured", "reached"], ["---", "---", "---", "---"], ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
