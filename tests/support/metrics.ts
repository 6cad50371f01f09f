/** Metrics as a test reads them. */

import { multibinder } from "./binder.ts";
import { runProgram } from "./program.ts";
import type { Target } from "./http_client.ts";

/** Values by name and labels as they are written, such as `multibinder_generations{state="serving"}`. */
export type Values = ReadonlyMap<string, number>;

/** What `multibinder metrics` prints. @param name of a wrapper, with the control socket of its binder */
export async function printedMetrics(sock: string, ...name: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram([
    multibinder(),
    "metrics",
    "--sock",
    sock,
    ...name,
  ]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/** The values of a binder or a wrapper, by its control socket. */
export async function metricsOf(sock: string): Promise<Values> {
  return valuesIn(await printedMetrics(sock));
}

/** The values in Prometheus's text. */
export function valuesIn(text: string): Values {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const end = line.lastIndexOf(" ");
    return [line.slice(0, end), Number(line.slice(end + 1))];
  }));
}

/** Scrapes `--metrics`, on a new connection. */
export async function scrape({ hostname, port }: Target, path = "/metrics"): Promise<string> {
  const response = await fetch(`http://${hostname}:${port}${path}`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return text;
}
