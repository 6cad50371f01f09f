import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import type { Outcome } from "./report.ts";
import { timeline } from "./timeline.ts";

/** A request every 10 ms for so many seconds, answered by v1 in the first half and by v2 in the other. */
function requests(
  seconds: number,
  different: (at: number) => Partial<Outcome> = () => ({}),
): Outcome[] {
  return Array.from({ length: 100 * seconds + 1 }, (_, index) => {
    const at = 10 * index;
    const version = at < 500 * seconds ? "V1" : "V2";
    return { client: "new", phase: "switch", at, milliseconds: 2, version, ...different(at) };
  });
}

const MARKS = [{ at: 100, text: "a" }, { at: 130, text: 'b <&"' }, { at: 900, text: "c" }];

/** The points of each band of a version. */
function bands(svg: string): [x: number, y: number][][] {
  return [...svg.matchAll(/<polygon class="v\d" points="([^"]*)"/g)].map(([, points = ""]) =>
    points.split(" ").map((point) => {
      const [x = NaN, y = NaN] = point.split(",").map(Number);
      return [x, y];
    })
  );
}

Deno.test("each version has a band where it answered, of the same height for the same rate", () => {
  const [first = [], second = []] = bands(timeline(requests(2), MARKS, ["V1", "V2"]));
  const height = (points: typeof first, at: number) => {
    const ys = points.filter(([x]) => Math.abs(x - at) < 1).map(([, y]) => y);
    return Math.max(...ys) - Math.min(...ys);
  };
  const [left, right] = [first[0]?.[0] ?? NaN, Math.max(...first.map(([x]) => x))];
  const early = left + (right - left) / 4;
  const late = left + 3 * (right - left) / 4;
  assert(height(first, early) > 50, "v1 answered in the first half");
  assertStrictEquals(height(first, late), 0);
  assertStrictEquals(height(second, late), height(first, early));
});

Deno.test("a failure is drawn, and counted in the title", () => {
  const failing = (at: number) => at === 1000 ? { version: undefined, failure: "reset" } : {};
  const outcomes = requests(2, failing as (at: number) => Partial<Outcome>);
  const svg = timeline(outcomes, MARKS, ["V1", "V2"]);
  assertMatch(svg, /<title>201 requests [^<]*: 1 failed<\/title>/);
  assertStrictEquals([...svg.matchAll(/<rect class="failure"/g)].length, 1);
  const fine = timeline(requests(2), MARKS, ["V1", "V2"]);
  assertMatch(fine, /: none failed<\/title>/);
  assertStrictEquals([...fine.matchAll(/<rect class="failure"/g)].length, 0);
});

Deno.test("a slow moment is seen: the line of times rises there and nowhere else", () => {
  const slow = (at: number) => ({ milliseconds: at >= 1000 && at < 1100 ? 50 : 2 });
  const svg = timeline(requests(2, slow), MARKS, ["V1", "V2"]);
  const [, points = ""] = /<polyline class="line" points="([^"]*)"/.exec(svg) ?? [];
  const ys = points.split(" ").map((point) => Number(point.split(",")[1]));
  assertEquals(ys.filter((y) => y < (ys[0] ?? 0)).length, 1);
  assertStrictEquals(ys.indexOf(Math.min(...ys)), 10);
});

Deno.test("every mark has its line, its number and its text, and none covers another", () => {
  const svg = timeline(requests(2), MARKS, ["V1", "V2"]);
  assertStrictEquals([...svg.matchAll(/<line class="mark"/g)].length, MARKS.length);
  assert(svg.includes('b &lt;&amp;" (0.1 s)'));
  const circles = [...svg.matchAll(/<circle class="circle" cx="([\d.]+)" cy="([\d.]+)"/g)]
    .map(([, x, y]) => [Number(x), Number(y)] as const);
  for (const [index, [x, y]] of circles.entries()) {
    const near = circles.slice(index + 1).filter(([a, b]) => Math.hypot(a - x, b - y) < 18);
    assertEquals(near, [], "circles have a radius of 9");
  }
});

Deno.test("it is well-formed, and has colours for both schemes", async () => {
  const svg = timeline(requests(1), MARKS, ["V1", "V2"]);
  assertMatch(svg, /prefers-color-scheme: dark/);
  const python = new Deno.Command("python3", {
    args: ["-c", "import sys, xml.dom.minidom as m; m.parse(sys.stdin.buffer)"],
    stdin: "piped",
  }).spawn();
  const input = python.stdin.getWriter();
  await input.write(new TextEncoder().encode(svg));
  await input.close();
  assert((await python.status).success);
});
