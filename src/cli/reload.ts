/** `multibinder reload`: reloads a wrapper's server, or a binder's config, and says how that went. */

import { defineOrder } from "./order.ts";

const OUTCOME = `
A wrapper answers once the new generation serves, and fails with the reason if it does
not: the old one goes on serving then. A binder reads its config file again, and
answers what that has changed.
`;

export const subcommand = defineOrder({
  name: "reload",
  about: "reload a wrapper's server, or a binder's config, and wait",
  outcome: OUTCOME,
  timeout: "2m",
  examples: [
    "multibinder reload site",
    "multibinder reload --sock /run/site/control.sock",
    "multibinder reload --sock /run/multibinder.sock",
  ],
});
