/** Durations as people read them. */

import { format } from "@std/fmt/duration";

/**
 * Describes a duration with the units that it has: `1m 30s`.
 * @param ms milliseconds
 */
export function describeDuration(ms: number): string {
  return format(ms, { ignoreZero: true }) || "0s";
}
