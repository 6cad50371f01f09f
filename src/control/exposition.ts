/**
 * Metrics as text: Prometheus's text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 * @module
 */

import { giveTurn } from "../turns.ts";

/** The Content-Type of the text. */
export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One value of a metric. */
export interface Sample {
  labels?: Readonly<Record<string, string>>;
  value: number;
  /** Appended to the metric's name, for the parts of a histogram. */
  suffix?: string;
}

/** A metric with all its values. */
export interface Metric {
  name: string;
  type: "counter" | "gauge" | "histogram";
  /** A sentence without a full stop. */
  help: string;
  samples: readonly Sample[];
}

/** A counter or a gauge with one value. */
export function metric(
  name: string,
  type: "counter" | "gauge",
  help: string,
  value: number,
): Metric {
  return { name, type, help, samples: [{ value }] };
}

/** A counter or a gauge with a value for each name of one label. */
export function byLabel(
  name: string,
  type: "counter" | "gauge",
  help: string,
  label: string,
  values: Readonly<Record<string, number>>,
): Metric {
  const samples = Object.entries(values).map(([text, value]) => ({
    labels: { [label]: text },
    value,
  }));
  return { name, type, help, samples };
}

/** Lines that are made before others have their turn. */
const LINES_AT_ONCE = 100;

/** Makes the text, in pieces: there may be tens of thousands of lines. */
export async function expose(metrics: readonly Metric[]): Promise<string> {
  const parts: string[] = [];
  for (const { name, type, help, samples } of metrics) {
    parts.push(`# HELP ${name} ${escape(help)}\n# TYPE ${name} ${type}\n`);
    for (let at = 0; at < samples.length; at += LINES_AT_ONCE) {
      parts.push(samples.slice(at, at + LINES_AT_ONCE).map((one) => line(name, one)).join(""));
      await giveTurn();
    }
  }
  return parts.join("");
}

function line(name: string, { labels = {}, value, suffix = "" }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeValue(text)}"`);
  return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}\n`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** What a label may hold is any text: the format has a way to write each character. */
function escapeValue(text: string): string {
  return escape(text.toWellFormed()).replaceAll('"', '\\"');
}
