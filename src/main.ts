/** The entry of the compiled program: chooses the subcommand, and is the only place that exits. */

import { insistOnMachine } from "./process/start.ts";
import { EXIT, messageOf, UserError } from "./errors.ts";
import { VERSION } from "./version.ts";

interface Subcommand {
  /** After its name, in the help. */
  args: string;
  about: string;
  /** Modules load when their subcommand is chosen: that halves the start-up. */
  load: () => Promise<{ run(args: readonly string[]): number | Promise<number> }>;
}

const SUBCOMMANDS: Record<string, Subcommand> = {
  bind: {
    args: "[ADDRESS...]",
    about: "hold listening sockets and hand copies of them out (the binder)",
    load: () => import("./cli/bind.ts"),
  },
  exec: {
    args: "-- COMMAND...",
    about: "run a server on such sockets, reload and stop it (the wrapper)",
    load: () => import("./cli/exec.ts"),
  },
  render: {
    args: "FILE",
    about: "print a rendered config template",
    load: () => import("./cli/render.ts"),
  },
  status: {
    args: "",
    about: "show what a binder or a wrapper holds and does",
    load: () => import("./cli/status.ts"),
  },
  unbind: {
    args: "ADDRESS...",
    about: "make a binder give addresses up",
    load: () => import("./cli/unbind.ts"),
  },
  reload: {
    args: "",
    about: "reload a wrapper's server, and wait for the outcome",
    load: () => import("./cli/reload.ts"),
  },
  upgrade: {
    args: "",
    about: "upgrade a binder or a wrapper in place",
    load: () => import("./cli/upgrade.ts"),
  },
  healthcheck: {
    args: "",
    about: "tell whether a binder answers",
    load: () => import("./cli/healthcheck.ts"),
  },
};

/** For the program itself: not in the help. */
const HIDDEN: Record<string, Subcommand["load"]> = {
  "self-check": () => import("./cli/self_check.ts"),
  "latch": () => import("./cli/latch.ts"),
  "unpoll": () => import("./cli/unpoll.ts"),
};

function help(): string {
  const lines = Object.entries(SUBCOMMANDS).map(([name, { args, about }]) =>
    `  ${`${name} ${args}`.padEnd(19)}  ${about}\n`
  );
  return `multibinder: replace a server without losing a connection

Usage: multibinder COMMAND [OPTIONS]

Commands:
${lines.join("")}
Each has its own --help. \`multibinder PATH\` is short for \`multibinder bind --sock PATH\`.

Options:
  -V, --version        show the version
  -h, --help           show this help
`;
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const load = loaderOf(name);
  if (load !== undefined) return await (await load()).run(rest);
  switch (name) {
    case "-V":
    case "--version":
    case "version":
      return print(`multibinder ${VERSION}\n`);
    case "help":
      if (rest.length > 0) return await main([...rest.slice(0, 1), "--help"]);
      return print(help());
    case "-h":
    case "--help":
      return print(help());
    case undefined:
      return complain(help());
  }
  // The original's call: its only argument is the control socket.
  if (name.includes("/") && rest.length === 0) return await main(["bind", "--sock", name]);
  return await (await import("./cli/unknown.ts")).run(args, Object.keys(SUBCOMMANDS));
}

function loaderOf(name = ""): Subcommand["load"] | undefined {
  if (Object.hasOwn(SUBCOMMANDS, name)) return SUBCOMMANDS[name]?.load;
  return Object.hasOwn(HIDDEN, name) ? HIDDEN[name] : undefined;
}

function print(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return EXIT.ok;
}

function complain(text: string): number {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
  return EXIT.usage;
}

/** The value of an option, for an error that may come before the command line is understood. */
function optionValue(option: string): string | undefined {
  const end = Deno.args.indexOf("--");
  const args = end < 0 ? Deno.args : Deno.args.slice(0, end);
  const at = args.findIndex((word) => word === option || word.startsWith(`${option}=`));
  return args[at] === option ? args[at + 1] : args[at]?.slice(option.length + 1);
}

/** Tells what ends the program, as the log would. */
async function report(text: string): Promise<void> {
  const { isJournal, renderForJournal, renderJson } = await import("./log.ts");
  if (optionValue("--log-format") === "json") complain(`${renderJson("error", text)}\n`);
  else complain(isJournal() ? `${renderForJournal("error", text)}\n` : `multibinder: ${text}\n`);
}

try {
  insistOnMachine();
  Deno.exit(await main(Deno.args));
} catch (error) {
  // Whoever read our output has had enough, as `head` has.
  if (error instanceof Deno.errors.BrokenPipe) Deno.exit(EXIT.failure);
  const debug = optionValue("--log-level") === "debug";
  const text = debug && error instanceof Error ? error.stack : messageOf(error);
  if (messageOf(error) !== "") await report(text ?? "");
  Deno.exit(error instanceof UserError ? error.exitCode : EXIT.failure);
}
