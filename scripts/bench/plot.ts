/** Bars beside each other, as an SVG that is readable on a light and a dark page. */

import { spreadOf } from "./experiment.ts";

/** Some bars of one quantity. */
export interface Panel {
  title: string;
  /** What is better, or the unit. */
  note: string;
  bars: readonly Bar[];
  /** How a value is written beside its bar. */
  write(value: number): string;
}

export interface Bar {
  name: string;
  /** Of each round: the bar is their median, and a line shows where they go from and to. */
  values: readonly number[];
  isOurs: boolean;
}

const WIDTH = 960;
const GAP = 40;
const PANEL = (WIDTH - 3 * GAP) / 2;
const NAMES = 156;
const VALUES = 76;
const BARS = PANEL - NAMES - VALUES;
const HEAD = 52;
const ROW = 26;

const STYLE = `<style>
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .note { font-size: 12px; fill: #59636e; }
  .right { text-anchor: end; }
  .page { fill: #ffffff; }
  .ours { fill: #2f6fb5; } .other { fill: #afb8c1; }
  .spread { stroke: #1f2328; stroke-width: 1.5; }
  .bold { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .page { fill: #0d1117; }
    .ours { fill: #58a6ff; } .other { fill: #484f58; }
    .spread { stroke: #e6edf3; }
  }
</style>`;

/** Draws panels, two in a row. @param title what a reader who cannot see it is told */
export function plot(title: string, panels: readonly Panel[]): string {
  const rows = Math.max(...panels.map(({ bars }) => bars.length));
  const each = HEAD + ROW * rows + GAP;
  const height = GAP / 2 + each * Math.ceil(panels.length / 2);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    STYLE,
    `<rect class="page" width="${WIDTH}" height="${height}" rx="8"/>`,
    ...panels.flatMap((panel, index) =>
      draw(panel, GAP + (index % 2) * (PANEL + GAP), GAP + Math.floor(index / 2) * each)
    ),
    "</svg>",
    "",
  ].join("\n");
}

function draw({ title, note, bars, write }: Panel, left: number, top: number): string[] {
  const most = Math.max(...bars.flatMap(({ values }) => values), Number.MIN_VALUE);
  const x = (value: number) => rounded(left + NAMES + BARS * value / most);
  return [
    text(left, top, title, "title"),
    text(left, top + 18, note, "note"),
    ...bars.flatMap(({ name, values, isOurs }, index) => {
      const { median, least, most } = spreadOf(values);
      const y = top + HEAD - 12 + ROW * index;
      const middle = y + 8;
      const width = rounded(Math.max(1, x(median) - x(0)));
      return [
        text(left + NAMES - 8, y + 12, name, isOurs ? "right bold" : "right"),
        `<rect class="${isOurs ? "ours" : "other"}" x="${
          x(0)
        }" y="${y}" width="${width}" height="16"/>`,
        ...least < most
          ? [
            `<line class="spread" x1="${x(least)}" x2="${x(most)}" y1="${middle}" y2="${middle}"/>`,
          ]
          : [],
        text(Math.max(x(median), x(most)) + 8, y + 12, write(median), isOurs ? "bold" : ""),
      ];
    }),
  ];
}

function text(x: number, y: number, what: string, kind: string): string {
  return `<text x="${rounded(x)}" y="${rounded(y)}" class="${kind}">${escape(what)}</text>`;
}

/** To a tenth of a pixel. */
function rounded(value: number): number {
  return Math.round(10 * value) / 10;
}

function escape(what: string): string {
  return what.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
