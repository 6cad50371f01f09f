/** A load of HTTP requests, by wrk(1). */

import type { Target } from "../../tests/support/http_client.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";

/** What came of it. */
export interface Load {
  requests: number;
  /** A second. */
  rate: number;
  /** Requests without an answer, or with another status than 2xx. */
  errors: number;
  /** Milliseconds that 99 of 100 did not pass. */
  p99: number;
  /** The longest one, in milliseconds. */
  worst: number;
}

const REPORT = `
done = function(summary, latency)
  local e = summary.errors
  print(string.format('{"requests":%d,"rate":%f,"errors":%d,"p99":%f,"worst":%f}', summary.requests,
    summary.requests * 1e6 / summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(99) / 1000, latency.max / 1000))
end
`;

/**
 * Sends requests, 20 at a time.
 * @param seconds a whole number, as wrk has it
 * @param isKept whether a connection is used for more than one of them
 */
export async function load(target: Target, seconds: number, isKept = false): Promise<Load> {
  using folder = tempDir();
  const script = folder.file("report.lua");
  Deno.writeTextFileSync(script, REPORT);
  const url = `http://${target.hostname}:${target.port}/`;
  const header = isKept ? [] : ["-H", "Connection: close"];
  const args = ["-t1", "-c20", `-d${seconds}s`, ...header, "-s", script, url];
  const { success, stdout } = await new Deno.Command("wrk", { args }).output();
  const text = new TextDecoder().decode(stdout);
  const report = /^\{.*\}$/m.exec(text)?.[0];
  if (!success || report === undefined) throw new Error(`wrk failed: ${text}`);
  return JSON.parse(report);
}
