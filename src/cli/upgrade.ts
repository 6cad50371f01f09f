/** `multibinder upgrade`: makes a running binder or wrapper become the binary on disk. */

import { defineOrder } from "./order.ts";

const OUTCOME = `
The pid, the sockets and the clients stay. The binary that the process was started
from is checked first; when that fails, the old version goes on and the reason is
told. The same as SIGUSR1, but with an answer.
`;

export const subcommand = defineOrder({
  name: "upgrade",
  about: "upgrade a binder or a wrapper in place",
  outcome: OUTCOME,
  timeout: "30s",
  examples: [
    "multibinder upgrade",
    "multibinder upgrade site",
    "multibinder upgrade --sock /run/site/control.sock",
  ],
});
