/** Durations as people read them. */

import { format } from "@std/fmt/duration";

/**
 * Describes a duration with the units that it has: `1m 30s`.
 * @param ms milliseconds
 */
export function describeDuration(ms: number): string {
  return format(ms, { ignoreZero: true }) || "0s";
}

/** Milliseconds by their two largest units, such as `3d 2h`, `5m 10s` or `0s`. */
export function describeAge(ms: number): string {
  if (!Number.isFinite(ms)) return "some time";
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return describeDuration(seconds * 1000).split(" ").slice(0, 2).join(" ");
}
