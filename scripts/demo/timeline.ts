/**
 * The demonstration as a picture: an SVG with requests a second by version, failures, and the 99th percentile
 * of the times, over the same seconds, and what was done when. It is readable on a light and a dark page.
 */

import { type Outcome, percentile } from "./report.ts";

/** Something that was done, or happened. */
export interface Mark {
  /** Milliseconds since the traffic has begun. */
  at: number;
  text: string;
}

/** Milliseconds of a column. */
const COLUMN = 100;

const WIDTH = 960;
const [LEFT, RIGHT] = [64, 24];
/** Where each chart is, from top to bottom. */
const CHARTS = { rate: [108, 270], failures: [300, 340], times: [372, 442] } as const;
const AXIS = 462;
/** Lines of the legend of marks. */
const LEGEND = { top: 492, line: 20, columns: 3 };
/** Pixels that two circles need between their centers. */
const CIRCLE = 22;

type Chart = readonly [top: number, bottom: number];

/** Draws it. @param versions in the order in which they appear */
export function timeline(
  outcomes: readonly Outcome[],
  marks: readonly Mark[],
  versions: readonly string[],
): string {
  // The last column may be cut short by the end, and would show fewer requests than there were in that time.
  const end = Math.max(0, ...outcomes.map(({ at }) => at));
  const count = Math.max(1, Math.floor(end / COLUMN));
  const columns = Array.from({ length: count }, (_, index) => inColumn(outcomes, index));
  const x = (at: number) =>
    rounded(LEFT + (WIDTH - LEFT - RIGHT) * Math.min(1, at / (count * COLUMN)));
  const failed = outcomes.filter(({ failure }) => failure !== undefined).length;
  const rows = Math.ceil(marks.length / LEGEND.columns);
  const height = LEGEND.top + LEGEND.line * rows + 8;
  const title =
    `${number(outcomes.length)} requests while v1 is replaced by v2, and v2 reloaded: ` +
    `${failed === 0 ? "none" : number(failed)} failed`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    STYLE,
    `<rect class="page" width="${WIDTH}" height="${height}" rx="8"/>`,
    text(LEFT, 34, title, "title"),
    ...rateChart(columns, versions, x),
    ...failureChart(columns, x),
    ...timeChart(columns, x),
    ...seconds(count, x),
    ...marksOf(marks, x),
    ...headings(),
    "</svg>",
    "",
  ].join("\n");
}

/** Colours that differ in lightness as well, and a page of their own: what is around it does not matter. */
const STYLE = `<style>
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .axis { font-size: 12px; fill: #59636e; }
  .over { stroke: #ffffff; stroke-width: 4; paint-order: stroke; }
  .page { fill: #ffffff; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .mark { stroke: #59636e; stroke-width: 1; stroke-dasharray: 3 3; }
  .circle { fill: #1f2328; }
  .digit { font-size: 12px; font-weight: 600; fill: #ffffff; text-anchor: middle; }
  .right { text-anchor: end; }
  .middle { text-anchor: middle; }
  .v1 { fill: #2f6fb5; } .v2 { fill: #f0a13a; } .v3 { fill: #3f9b6c; }
  .name { font-weight: 600; text-anchor: middle; }
  .on1, .on3 { fill: #ffffff; } .on2 { fill: #1f2328; }
  .failure { fill: #cf222e; } .none { fill: #1a7f37; }
  .line { fill: none; stroke: #8250df; stroke-width: 2; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .axis { fill: #9198a1; }
    .over { stroke: #0d1117; }
    .page { fill: #0d1117; }
    .grid { stroke: #30363d; }
    .mark { stroke: #9198a1; }
    .circle { fill: #e6edf3; } .digit { fill: #0d1117; }
    .v1 { fill: #58a6ff; } .v2 { fill: #d29922; } .v3 { fill: #57ab5a; }
    .on1, .on2, .on3 { fill: #0d1117; }
    .failure { fill: #ff7b72; } .none { fill: #3fb950; }
    .line { stroke: #bc8cff; }
  }
</style>`;

function inColumn(outcomes: readonly Outcome[], index: number): Outcome[] {
  return outcomes.filter(({ at }) => Math.floor(at / COLUMN) === index);
}

type Columns = readonly (readonly Outcome[])[];
type ToX = (at: number) => number;

/** Requests a second that were answered, one version upon the other. */
function rateChart(columns: Columns, versions: readonly string[], x: ToX): string[] {
  const perSecond = 1000 / COLUMN;
  const rate = (column: readonly Outcome[], version: string) =>
    perSecond * column.filter((one) => one.version === version).length;
  const totals = columns.map((column) => versions.reduce((sum, one) => sum + rate(column, one), 0));
  const { lines, y } = scale(CHARTS.rate, Math.max(...totals), number);
  let below = columns.map(() => 0);
  const bands = versions.map((version, index) => {
    const above = columns.map((column, at) => (below[at] ?? 0) + rate(column, version));
    const upper = above.map((value, at) =>
      `${x(at * COLUMN)},${y(value)} ${x((at + 1) * COLUMN)},${y(value)}`
    );
    const lower = below.map((value, at) =>
      `${x((at + 1) * COLUMN)},${y(value)} ${x(at * COLUMN)},${y(value)}`
    );
    const center = widest(columns.map((column) => rate(column, version)));
    const middle = ((above[center] ?? 0) + (below[center] ?? 0)) / 2;
    below = above;
    return [
      `<polygon class="v${index + 1}" points="${[...upper, ...lower.toReversed()].join(" ")}"/>`,
      text(x((center + 0.5) * COLUMN), y(middle) + 4, version.toLowerCase(), `name on${index + 1}`),
    ].join("\n");
  });
  return [
    ...lines,
    ...bands,
  ];
}

/** The middle of the longest run of columns that are about as high as the highest. */
function widest(values: readonly number[]): number {
  const room = 0.7 * Math.max(...values);
  let [best, length, run] = [0, 0, 0];
  values.forEach((value, at) => {
    run = value >= room ? run + 1 : 0;
    if (run > length) [best, length] = [at, run];
  });
  return best - Math.floor(length / 2);
}

/** Requests that failed: refused, reset, cut off or late. */
function failureChart(columns: Columns, x: ToX): string[] {
  const counts = columns.map((column) =>
    column.filter(({ failure }) => failure !== undefined).length
  );
  const { lines, y } = scale(CHARTS.failures, Math.max(1, ...counts), number);
  const all = counts.reduce((sum, one) => sum + one, 0);
  const bars = counts.flatMap((count, at) => {
    if (count === 0) return [];
    const [left, right] = [x(at * COLUMN), x((at + 1) * COLUMN)];
    return [
      `<rect class="failure" x="${left}" y="${y(count)}" width="${rounded(right - left)}" height="${
        rounded(y(0) - y(count))
      }"/>`,
    ];
  });
  const verdict = all === 0 ? [text(LEFT + 8, CHARTS.failures[1] - 12, "none", "none")] : [];
  return [...lines, ...bars, ...verdict];
}

/** The time that 99 of 100 requests on new connections did not pass. */
function timeChart(columns: Columns, x: ToX): string[] {
  const values = columns.map((column) => {
    const times = column.filter(({ client, failure }) => client === "new" && failure === undefined);
    return percentile(times.map(({ milliseconds }) => milliseconds), 0.99);
  });
  const most = Math.max(1, ...values.map((value) => value ?? 0));
  const { lines, y } = scale(CHARTS.times, most, (value) => `${value} ms`);
  const points = values.flatMap((value, at) =>
    value === undefined ? [] : [`${x((at + 0.5) * COLUMN)},${y(value)}`]
  );
  return [
    ...lines,
    `<polyline class="line" points="${points.join(" ")}"/>`,
  ];
}

/** The axis of a chart from 0 to at least `most`, with a line for each of some round values. */
function scale([top, bottom]: Chart, most: number, label: (value: number) => string) {
  const lines = bottom - top < 60 ? 1 : 3;
  const rough = most / lines;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((one) => one * power >= rough) ?? 10);
  const end = step * Math.ceil(most / step);
  const y = (value: number) => rounded(bottom - (bottom - top) * value / end);
  const values = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);
  return {
    y,
    lines: values.flatMap((value) => [
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/>`,
      text(LEFT - 8, y(value) + 4, label(value), "axis right"),
    ]),
  };
}

/** Above all else, so that no line of a mark runs through the words. */
function headings(): string[] {
  const words = {
    rate: "requests a second, by the version that answered",
    failures: "requests that failed",
    times: "99 of 100 requests on a new connection took at most",
  };
  return (Object.keys(words) as (keyof typeof words)[])
    .map((chart) => text(LEFT, CHARTS[chart][0] - 10, words[chart], "axis over"));
}

function seconds(columns: number, x: ToX): string[] {
  const all = Math.floor(columns * COLUMN / 1000);
  const step = Math.max(1, Math.ceil(all / 12));
  return Array.from({ length: Math.floor(all / step) + 1 }, (_, index) => index * step)
    .map((second) => text(x(1000 * second), AXIS, `${second} s`, "axis middle"));
}

/** A line for each mark, with a number that the legend explains. */
function marksOf(marks: readonly Mark[], x: ToX): string[] {
  const width = (WIDTH - LEFT - RIGHT) / LEGEND.columns;
  const rows = Math.ceil(marks.length / LEGEND.columns);
  // A circle that would cover the one before stands above it.
  const lasts: number[] = [];
  return marks.flatMap(({ at, text: what }, index) => {
    const center = x(at);
    const found = lasts.findIndex((last) => center - last >= CIRCLE);
    const level = found < 0 ? lasts.length : found;
    lasts[level] = center;
    const y = CHARTS.rate[0] - 36 - CIRCLE * level;
    const left = LEFT + width * Math.floor(index / rows) + 8;
    const row = LEGEND.top + LEGEND.line * (index % rows);
    return [
      `<line class="mark" x1="${center}" x2="${center}" y1="${y}" y2="${CHARTS.times[1]}"/>`,
      ...circle(center, y, index + 1),
      ...circle(left, row, index + 1),
      text(left + 16, row + 4, `${what} (${(at / 1000).toFixed(1)} s)`, ""),
    ];
  });
}

function circle(x: number, y: number, digit: number): string[] {
  return [
    `<circle class="circle" cx="${x}" cy="${y}" r="9"/>`,
    text(x, y + 4, String(digit), "digit"),
  ];
}

function text(x: number, y: number, what: string, kind: string): string {
  return `<text x="${rounded(x)}" y="${rounded(y)}"${kind && ` class="${kind}"`}>${
    escape(what)
  }</text>`;
}

/** To a tenth of a pixel. */
function rounded(value: number): number {
  return Math.round(10 * value) / 10;
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}

function escape(what: string): string {
  return what.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
