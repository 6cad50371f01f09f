/** What was prepared for a generation. */

import type { Fd } from "../../ffi/fd.ts";
import type { Begun } from "../servers/service.ts";
import type { Hide } from "../templates/secrets.ts";

/** See the module's description. Its config has passed its check. */
export interface Preparation {
  /** Its listening sockets, which stay the wrapper's: its descriptors from 3 on. */
  readonly sockets: readonly Fd[];
  /** Its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Hides, in what is said of the generation, the values that its config takes from the environment. */
  readonly hide: Hide;
  /** What the check has begun for the start, if anything. */
  readonly begun?: Begun;
}
