/** The metrics that both roles have. */

import { labelled, Metric, metric } from "../control/exposition.ts";
import { VERSION } from "../version.ts";
import type { Upgrade } from "./upgrade.ts";

/**
 * Of this process: what it is, since when, and its upgrades in place.
 * @param started milliseconds since 1970
 */
export function ownMetrics(
  role: "binder" | "wrapper",
  started: number,
  upgrade: Pick<Upgrade, "describe">,
): Metric[] {
  const { upgrades, lastUpgrade } = upgrade.describe();
  return [
    new Metric(
      "multibinder_build_info",
      "gauge",
      "Always 1: the role of this process and the version that it runs",
    ).add(1, labelled({ role, version: VERSION })),
    metric(
      "multibinder_start_time_seconds",
      "gauge",
      "When the process was started, in seconds since 1970; an upgrade in place is no start",
      started / 1000,
    ),
    metric(
      "multibinder_upgrades_total",
      "counter",
      "Upgrades in place that worked, since the start",
      upgrades,
    ),
    ...lastUpgrade === null ? [] : [metric(
      "multibinder_last_upgrade_successful",
      "gauge",
      "Whether the last upgrade in place worked",
      Number(lastUpgrade.ok),
    )],
  ];
}
