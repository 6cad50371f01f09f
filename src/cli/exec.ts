/** `multibinder exec`: the wrapper. */

import { EXIT, fromCommandLine, UserError } from "../errors.ts";
import { userId } from "../control/accounts.ts";
import { DEFAULT_SOCK } from "../control/client.ts";
import { SERVERS, understand } from "../servers/servers.ts";
import {
  binderUidFromEnvironment,
  createCommand,
  duration,
  logOf,
  parse,
  sockFromEnvironment,
  wholeNumber,
} from "./options.ts";

const HELP = `
COMMAND is the server's own command line; its program's name tells which server it is.

${SERVERS.map(({ help }) => help).join("\n")}
Listening sockets come from the binder. Without --sock, MULTIBINDER_SOCK and a binder at
${DEFAULT_SOCK}, this process binds and holds the sockets itself.

The config is checked with the sockets in place before the start and before each reload.
TIME is 500ms, 10s, 5m or 1h. The server's own lines appear among those of the log as it
writes them, also with --log-format json.

Signals:
  SIGUSR2, SIGHUP    reload: start a new generation, then drain the one before
  SIGTERM, SIGINT    stop gracefully; a second one stops at once
  SIGUSR1            upgrade the wrapper in place, its servers go on

Under systemd: NOTIFY_SOCKET is told about the start, reloads, the drain and the stop, and
WATCHDOG_USEC is obeyed; the server does not get to see them. With JOURNAL_STREAM on standard
error, the lines of the log have priorities instead of times.

Exit code: the server's own, 128 + n if signal n ended it; 1 when it could not be started,
2 for a wrong command line, 126 or 127 if COMMAND cannot be run or found.

Examples:
${SERVERS.map(({ example }) => `  multibinder exec --drain 5m -- ${example}\n`).join("")}`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  let code = 0;
  const command = createCommand("exec", "Run a server on listening sockets that outlive it.")
    .usage("[options] -- COMMAND...")
    .argument("<command...>", "the server's command line")
    .passThroughOptions()
    .option(
      "--sock <path>",
      `the binder's control socket (default: $MULTIBINDER_SOCK, else ${DEFAULT_SOCK})`,
    )
    .option(
      "--binder-uid <user>",
      "the binder's user, if neither root nor this one (default: $MULTIBINDER_BINDER_UID)",
      userId,
    )
    .option(
      "--wait <time>",
      "wait for a binder that was named, at the start alone (default: 10s)",
      duration,
    )
    .option("--strict", "a check binds the real addresses, and fails if one cannot be had")
    .option("--render-dir <dir>", "write rendered files there, not beside their templates")
    .option(
      "--control <path>",
      "a control socket of the wrapper's own, for status, reload and upgrade",
    )
    .option("--ready-timeout <time>", "for a generation to be up (default: 60s)", duration)
    .option(
      "--settle <time>",
      "a new generation must stay up so long before the old one drains (default: 1s)",
      duration,
    )
    .option("--drain <time>", "for a generation to finish its connections (default: 10m)", duration)
    .option(
      "--max-generations <n>",
      "old generations that may drain at once (default: 50)",
      wholeNumber(0),
    )
    .option(
      "--stop-delay <time>",
      "serve on for so long when told to stop, until balancers know (default: 0s)",
      duration,
    )
    .addHelpText("after", HELP)
    .action(async ([first, ...rest]: string[], options) => {
      if (first === undefined) throw new UserError("no command", { exitCode: EXIT.usage });
      const service = fromCommandLine(() => understand([first, ...rest]));
      const wrapperOptions = {
        sock: options.sock ?? sockFromEnvironment(),
        binderUid: options.binderUid ?? binderUidFromEnvironment(),
        wait: options.wait ?? 10_000,
        strict: options.strict ?? false,
        renderDir: options.renderDir,
        control: options.control,
        limits: {
          ready: options.readyTimeout ?? 60_000,
          settle: options.settle ?? 1000,
          drain: options.drain ?? 600_000,
          maxRetired: options.maxGenerations ?? 50,
          stopDelay: options.stopDelay ?? 0,
        },
      };
      // A check is a short command, and loads only what it needs.
      const run = service.purpose === "run"
        ? (await import("../wrapper/wrapper.ts")).runWrapper
        : (await import("../wrapper/run_once.ts")).runOnce;
      code = await run(service, wrapperOptions, logOf(options));
    });
  await parse(command, args);
  return code;
}
