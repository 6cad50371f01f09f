/**
 * Metrics as text: Prometheus's text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Every Prometheus asks for OpenMetrics as well and takes this instead. OpenMetrics would add nothing that these
 * metrics have (exemplars, times of creation), and a counter's name in its HELP lines is another one than in this
 * format, so that each metric would have two texts: there is one, whatever a scraper's Accept header prefers.
 * @module
 */

import { escapeControls } from "../escape.ts";

/** The Content-Type of the text. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Lines that are made into bytes at once. */
const LINES_AT_ONCE = 200;

const encoder = new TextEncoder();

/**
 * A metric, whose values become bytes as they are added: there may be tens of thousands, and as objects they would be
 * as much garbage at each scrape.
 */
export class Metric {
  readonly #pieces: Uint8Array<ArrayBuffer>[] = [];
  #lines: string[];

  /** @param help a sentence without a full stop */
  constructor(readonly name: string, type: "counter" | "gauge" | "histogram", help: string) {
    this.#lines = [`# HELP ${name} ${escape(help)}\n# TYPE ${name} ${type}\n`];
  }

  /**
   * Adds a value.
   * @param labels as {@link labelled} makes them
   * @param suffix appended to the name, for the parts of a histogram
   */
  add(value: number, labels = "", suffix = ""): this {
    this.#lines.push(`${this.name}${suffix}${labels} ${value}\n`);
    if (this.#lines.length >= LINES_AT_ONCE) this.#encode();
    return this;
  }

  /** The text so far: whole lines, in pieces of a few KiB. */
  get pieces(): readonly Uint8Array<ArrayBuffer>[] {
    this.#encode();
    return this.#pieces;
  }

  #encode(): void {
    if (this.#lines.length === 0) return;
    this.#pieces.push(encoder.encode(this.#lines.join("")) as Uint8Array<ArrayBuffer>);
    this.#lines = [];
  }
}

/** Labels as they stand after a metric's name. */
export function labelled(labels: Readonly<Record<string, string>>): string {
  return `{${
    Object.entries(labels).map(([name, text]) => `${name}="${escapeValue(text)}"`).join(",")
  }}`;
}

/** A counter or a gauge with one value. */
export function metric(
  name: string,
  type: "counter" | "gauge",
  help: string,
  value: number,
): Metric {
  return new Metric(name, type, help).add(value);
}

/** A counter or a gauge with a value for each name of one label. */
export function byLabel(
  name: string,
  type: "counter" | "gauge",
  help: string,
  label: string,
  values: Readonly<Record<string, number>>,
): Metric {
  const made = new Metric(name, type, help);
  for (const [text, value] of Object.entries(values)) made.add(value, labelled({ [label]: text }));
  return made;
}

/** The text of metrics, in pieces of whole lines. */
export function expose(metrics: readonly Metric[]): Uint8Array<ArrayBuffer>[] {
  return metrics.flatMap(({ pieces }) => pieces);
}

/** The pieces as one text. */
export function textOf(pieces: readonly Uint8Array<ArrayBuffer>[]): string {
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece)).join("");
}

function escape(text: string): string {
  return /[\\\n]/.test(text) ? text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n") : text;
}

/** Any text as a label's value. The format itself escapes line breaks, but nothing else that steers a terminal. */
function escapeValue(text: string): string {
  const lines = text.toWellFormed().split("\n");
  const escaped = lines.map((line) => escape(escapeControls(line))).join("\\n");
  return escaped.includes('"') ? escaped.replaceAll('"', '\\"') : escaped;
}
