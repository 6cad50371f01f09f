/** The entry of the compiled program: chooses the subcommand, and is the only place that exits. */

import { EXIT, messageOf, UserError } from "./errors.ts";
import { VERSION } from "./version.ts";

const HELP = `multibinder: replace a server without losing a connection

Usage: multibinder COMMAND [OPTIONS]

Commands:
  bind [ADDRESS...]    hold listening sockets and hand copies of them out (the binder)
  exec -- COMMAND...   run HAProxy on such sockets, reload and stop it (the wrapper)
  render FILE          print a rendered config template
  status               show what a binder or a wrapper holds and does
  unbind ADDRESS...    make a binder give addresses up
  reload               reload a wrapper's server, and wait for the outcome
  upgrade              upgrade a binder or a wrapper in place
  healthcheck          tell whether a binder answers

Each has its own --help. \`multibinder PATH\` is short for \`multibinder bind --sock PATH\`.

Options:
  -V, --version        show the version
  -h, --help           show this help
`;

/** Runs a command line. Modules load when their subcommand is chosen: that halves the start-up. */
async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  switch (name) {
    case "bind":
      return await (await import("./cli/bind.ts")).run(rest);
    case "exec":
      return await (await import("./cli/exec.ts")).run(rest);
    case "render":
      return await (await import("./cli/render.ts")).run(rest);
    case "status":
      return await (await import("./cli/status.ts")).run(rest);
    case "unbind":
      return await (await import("./cli/unbind.ts")).run(rest);
    case "reload":
      return await (await import("./cli/reload.ts")).run(rest);
    case "upgrade":
      return await (await import("./cli/upgrade.ts")).run(rest);
    case "healthcheck":
      return await (await import("./cli/healthcheck.ts")).run(rest);
    case "self-check":
      return (await import("./cli/self_check.ts")).run();
    case "latch":
      return (await import("./cli/latch.ts")).run();
    case "-V":
    case "--version":
    case "version":
      return print(`multibinder ${VERSION}\n`);
    case "-h":
    case "--help":
    case "help":
      return print(HELP);
    case undefined:
      return complain(HELP);
  }
  // The original's call: its only argument is the control socket.
  if (name.includes("/") && rest.length === 0) {
    return await (await import("./cli/bind.ts")).run(["--sock", name]);
  }
  return await (await import("./cli/unknown.ts")).run(args);
}

function print(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return EXIT.ok;
}

function complain(text: string): number {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
  return EXIT.usage;
}

try {
  Deno.exit(await main(Deno.args));
} catch (error) {
  // Whoever read our output has had enough, as `head` has.
  if (error instanceof Deno.errors.BrokenPipe) Deno.exit(EXIT.failure);
  const debug = Deno.args.join(" ").includes("--log-level debug") ||
    Deno.args.includes("--log-level=debug");
  const text = debug && error instanceof Error ? error.stack : messageOf(error);
  if (messageOf(error) !== "") {
    const { isJournal, renderForJournal } = await import("./log.ts");
    complain(isJournal() ? `${renderForJournal("error", text ?? "")}\n` : `multibinder: ${text}\n`);
  }
  Deno.exit(error instanceof UserError ? error.exitCode : EXIT.failure);
}
