/** Options that several subcommands have. */

import { userId } from "../control/accounts.ts";
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

/** Where a role tells its metrics. */
export const METRICS = {
  placeholder: "ADDRESS",
  about: "where metrics are to be read",
} as const;

/** Variables that a template sees as ENV, beside those of the environment. */
export const ENV_FILE = {
  placeholder: "FILE",
  about: "variables for templates and the server; -FILE may be absent",
  repeatable: true,
} as const;

/** For what uses a binder if there is one. */
export const BINDER_OPTIONS = {
  "sock": {
    placeholder: "PATH",
    about: `the binder's, else ${DEFAULT_SOCK} if it is there`,
    environment: "MULTIBINDER_SOCK",
  },
  "binder-uid": {
    placeholder: "USER",
    about: "the binder's user",
    // When it is asked for: a wrapper's successor goes by what the name meant, whoever knows it by then.
    read: (user: string) => () => userId(user),
    environment: "MULTIBINDER_BINDER_UID",
  },
  "wait": {
    placeholder: "TIME",
    about: "for a binder that was named, at the start",
    read: duration,
    default: "10s",
  },
} as const satisfies Options;
