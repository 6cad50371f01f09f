/** Options that several subcommands have. */

import { userId } from "../accounts.ts";
import { DEFAULT_SOCK } from "../control/client.ts";
import type { Options } from "./option.ts";
import { duration } from "./values.ts";

/** The control socket to connect to. */
export const SOCK = {
  placeholder: "PATH",
  about: "the control socket",
  environment: "MULTIBINDER_SOCK",
  default: DEFAULT_SOCK,
} as const;

/** Where a role serves its metrics. */
export const METRICS = {
  placeholder: "ADDRESS",
  about: "where to serve metrics",
} as const;

/** Variables that a template sees as ENV, beside those of the environment. */
export const ENV_FILE = {
  placeholder: "FILE",
  about: "variables for templates and the server; as -FILE it may be absent",
  repeatable: true,
} as const;

/** The options of commands that use a binder if there is one. */
export const BINDER_OPTIONS = {
  "sock": {
    placeholder: "PATH",
    about: `the binder's control socket, else ${DEFAULT_SOCK} if it is there`,
    environment: "MULTIBINDER_SOCK",
  },
  "binder-uid": {
    placeholder: "USER",
    about: "the user that the binder runs as",
    // Looked up only when it is needed: a wrapper's successor goes by what the name has meant, even if nobody knows
    // the name any more.
    read: (user: string) => () => userId(user),
    environment: "MULTIBINDER_BINDER_UID",
  },
  "wait": {
    placeholder: "TIME",
    about: "how long to wait at the start for a binder that was named",
    read: duration,
    default: "10s",
  },
} as const satisfies Options;
