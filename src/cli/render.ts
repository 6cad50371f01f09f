/** `multibinder render`: shows what a template becomes. */

import { EXIT } from "../errors.ts";
import { createLog } from "../log.ts";
import { surviveStrayFailures } from "../process/stray_failures.ts";
import { print } from "./output.ts";
import { BINDER_OPTIONS, ENV_FILE } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";

const SOCKETS = `
Nothing is bound and nothing is run. With --strict the sockets are really bound, by the
binder or else by this process for a moment, so that a server would start with what is
printed.
`;

/** Names of standard output: a file of that name would be replaced by a new one. */
const STANDARD_OUTPUT = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

export const subcommand = defineSubcommand({
  name: "render",
  about: "print a rendered config template",
  argument: { name: "FILE", about: "the template", count: "one" },
  options: {
    ...BINDER_OPTIONS,
    "env-file": ENV_FILE,
    strict: { about: "bind the addresses, or fail" },
    output: {
      placeholder: "FILE",
      about: "write there; - is standard output",
      default: "-",
    },
  },
  sections: { "Sockets": SOCKETS },
  examples: [
    "multibinder render /etc/site.cfg.eta",
    "multibinder render --output site.cfg site.cfg.erb",
  ],
  async run({ options, words: [template = ""] }) {
    const { bytesOf, renderFiles, writeOutput } = await import("../wrapper/config_files.ts");
    const { TEMPLATE_SERVER } = await import("../servers/servers.ts");
    const { environmentWith } = await import("../wrapper/environment_file.ts");
    const { output } = options;
    const templates = [{ template, target: output }];
    const names = TEMPLATE_SERVER.socketNames;
    const log = createLog({ format: options["log-format"], level: options["log-level"] });
    surviveStrayFailures(log);
    const { files, sockets } = renderFiles(templates, environmentWith(options["env-file"]), names);
    if (options.strict) {
      const { chooseSockets } = await import("../wrapper/choose_sockets.ts");
      const { Poller } = await import("../../ffi/poll.ts");
      const { sock, wait, "binder-uid": binderUid } = options;
      const source = chooseSockets(
        { sock, wait, binderUid: binderUid?.(), longLived: false },
        new Poller(),
        log,
      );
      await source.prepare(sockets);
      source.close();
    }
    for (const file of files) {
      STANDARD_OUTPUT.includes(output) ? print(bytesOf(file)) : writeOutput(file);
    }
    return EXIT.ok;
  },
});
