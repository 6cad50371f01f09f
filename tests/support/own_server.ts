/**
 * The wrapper with a server that multibinder does not know: the server is one file as those in
 * `src/servers/`, and one line in the table.
 *
 *     deno run --allow-all tests/support/own_server.ts SOCK CONTROL -- COMMAND...
 */

import { createLog } from "../../src/log.ts";
import { checkConfig } from "../../src/servers/check.ts";
import { SERVERS, understand } from "../../src/servers/servers.ts";
import type { Server } from "../../src/servers/service.ts";
import { runWrapper } from "../../src/wrapper/wrapper.ts";

/** Python, running a script that may be a template. */
const python: Server = {
  name: "python",
  program: /^python3$/,
  help: "Python: SCRIPT is a template if it ends in .eta, .erb or .mb.\n",
  example: "python3 server.py.eta",
  socketNames: (descriptors) => `[${descriptors.join(", ")}]`,
  understand([program, script = ""]) {
    const words = (files: ReadonlyMap<string, string>) => files.get(script) ?? script;
    return {
      server: python,
      identity: script,
      purpose: "run",
      configs: [script],
      stopSignals: { soft: "SIGTERM", hard: "SIGKILL" },
      run: (launch) => launch.start([program, words(launch.files)]),
      check: (launch, timeout) =>
        checkConfig(launch, {
          who: "Python",
          argv: [program, "-B", "-c", COMPILE, words(launch.files)],
          timeout,
          reasonOf: (output) => output.at(-1),
        }),
      start(launch) {
        return { ...this.run(launch), ready: Promise.resolve(undefined) };
      },
      levelOf: () => "error",
    };
  },
};

const COMPILE = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";

const [sock = "", control = "", , program = "", ...rest] = Deno.args;
const service = understand([program, ...rest], { named: [], settle: 0 }, undefined, [
  python,
  ...SERVERS,
]);
const limits = { ready: 20_000, settle: 0, drain: 20_000, maxRetired: 5, stopDelay: 0, restart: 0 };
const log = createLog({ format: "text", level: "info" });
Deno.exit(
  await runWrapper(service, {
    sock,
    wait: 0,
    control,
    listen: [],
    envFiles: [],
    watch: [],
    watchInterval: 0,
    hooks: {},
    limits,
  }, log),
);
