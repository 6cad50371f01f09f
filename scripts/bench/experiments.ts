/** All experiments of the benchmark. */

import { batches, binds, held } from "./binds.ts";
import { checks, memory, sizes, starts, upgrades } from "./costs.ts";
import type { Result } from "./experiment.ts";
import { draining, path, queued, reloadTime, underLoad } from "./reloads.ts";

/** What is measured, in this order. */
export const EXPERIMENTS = {
  queued,
  underLoad,
  path,
  draining,
  reloadTime,
  binds,
  held,
  batches,
  upgrades,
  starts,
  checks,
  memory,
  sizes,
} satisfies Record<string, (isQuick: boolean) => Promise<Result>>;

/** The results there are. */
export type Results = Partial<Record<keyof typeof EXPERIMENTS, Result>>;
