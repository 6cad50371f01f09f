/** `multibinder exec`: the wrapper. */

import { EXIT, fromCommandLine, UserError } from "../errors.ts";
import { createLog } from "../log.ts";
import { DEFAULT_SOCK } from "../control/client.ts";
import { surviveStrayFailures } from "../process/stray_failures.ts";
import { insistOnDistinctNames, parseNamedSockets } from "../servers/named_sockets.ts";
import { SERVERS, TEMPLATE_SERVER, understand } from "../servers/servers.ts";
import { BINDER_OPTIONS, ENV_FILE, METRICS } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { duration, signal, wholeNumber } from "./values.ts";

const COMMAND = `
COMMAND is the server's own command line; its program's name tells which server it is,
or --server does.

${SERVERS.map(({ help }) => help).join("")}
Listening sockets come from the binder. Without --sock, MULTIBINDER_SOCK and a binder at
${DEFAULT_SOCK}, this process binds and holds the sockets itself.
A binder that runs neither as root nor as this user is named by --binder-uid.

The config is checked with the sockets in place before the start and before each reload.
The server's own lines appear among those of the log as it writes them, also with
--log-format json. With --prefix-output those of its standard error are lines of the
log, with its name and generation: it then writes to a pipe that this process reads.
`;

const TWO_SIGNS =
  "only one of --ready-notify, --ready-poll and --ready-fd can tell that the server is up";

const NAMED_SOCKETS = `
The server inherits the sockets of --listen from descriptor 3 on, in their order. In the
words of COMMAND, {NAME} becomes the number of its descriptor. The environment has it in
FD_NAME (in capitals, - as _), their count in LISTEN_FDS and their names in
LISTEN_FDNAMES, separated by colons. An address without a name is called after its port
or file: port80, udp443, site for unix:/run/site.sock. One --listen that names several
sockets (:8001-8004, or :80,reuseport=4) numbers them: NAME-1, NAME-2 and so on.
`;

const TIMES = `
TIME is 500ms, 10s, 5m or 1h; a number alone is seconds. A new generation must be up
within --ready-timeout and stay up for --settle; then the one before it drains, for at
most --drain. Before a stop, the server goes on serving for --stop-delay, until load
balancers send it nothing more.

A server that ends by itself ends this process, too, with its exit code. With --restart
it is started again, if it has served once: after 100 ms, twice that the next time, and
so on up to TIME. The pauses begin anew once it has served for longer than TIME.
`;

const RELOADS = `
With --watch a change of PATH is a reload, and with it one of a template, of an
--env-file, or of the config of a server whose command line is understood. It comes half
a second after the last change, and not sooner than --watch-interval after the reload
before. In a folder, all files below it count, except names that begin with a dot or end
in ~. Only a change of what a file holds counts; a config that was refused is not tried
again until something changes.
--before-reload and --after-reload are commands for the shell, and may take as long as
--ready-timeout; their output is logged. The environment of the second has RELOAD_OUTCOME
(success or failure), RELOAD_MESSAGE, and RELOAD_GENERATION and RELOAD_PID of the server
that serves. The first start is no reload.
`;

const SIGNALS = `
SIGUSR2, SIGHUP    reload: start a new generation, then drain the one before
SIGTERM, SIGINT    stop gracefully; a second one stops at once
SIGUSR1            upgrade the wrapper in place, its servers go on
`;

const SYSTEMD = `
systemd is told about the start, reloads, the drain and the stop (NOTIFY_SOCKET), and
WATCHDOG_USEC is obeyed; the server does not get to see these variables. With
JOURNAL_STREAM on standard error, the lines of the log have priorities instead of times.
`;

export const subcommand = defineSubcommand({
  name: "exec",
  about: "run a server on sockets that outlive it (the wrapper)",
  argument: { name: "COMMAND", about: "the server's command line", count: "command" },
  options: {
    "listen": {
      placeholder: "[NAME=]ADDRESS",
      about: "a socket for the server, and its name",
      read: parseNamedSockets,
      repeatable: true,
    },
    "drain": {
      placeholder: "TIME",
      about: "how long an old generation may drain",
      read: duration,
      default: "10m",
    },
    "settle": {
      placeholder: "TIME",
      about: "how long a new one must first stay up",
      read: duration,
      default: "1s",
    },
    "ready-timeout": {
      placeholder: "TIME",
      about: "how long a new one may take to be up",
      read: duration,
      default: "60s",
    },
    "stop-delay": {
      placeholder: "TIME",
      about: "how long to keep serving when stopped",
      read: duration,
      default: "0s",
    },
    "control": {
      placeholder: "PATH",
      about: "its own control socket, for status, reload, upgrade",
    },
    "watch": {
      placeholder: "PATH",
      about: "reload when this, or a config, has changed",
      repeatable: true,
    },
    ...BINDER_OPTIONS,
    "env-file": ENV_FILE,
    "strict": { about: "have a check bind the real addresses, or fail" },
    "render-dir": {
      placeholder: "DIR",
      about: "folder of rendered files, else they are beside their templates",
    },
    "metrics": METRICS,
    "server": { placeholder: "NAME", about: "which server it is, else its program's name tells" },
    "check": { placeholder: "COMMAND", about: "command that checks the config before each start" },
    "stop-signal": {
      placeholder: "SIGNAL",
      about: "stops the server once its connections have ended",
      read: signal,
    },
    "kill-signal": { placeholder: "SIGNAL", about: "stops the server at once", read: signal },
    "ready-notify": { about: "the server is up when it says READY=1, and not before" },
    "ready-poll": { about: "the server is up when it polls all its sockets, and not before" },
    "ready-fd": { about: "the server is up when it writes a line to descriptor {ready}" },
    "max-generations": {
      placeholder: "N",
      about: "how many old generations may drain at once",
      read: wholeNumber(0),
      default: "50",
    },
    "watch-interval": {
      placeholder: "TIME",
      about: "least time between two reloads of --watch",
      read: duration,
      default: "5s",
    },
    "before-reload": {
      placeholder: "COMMAND",
      about: "command that may refuse a reload, by failing",
    },
    "after-reload": { placeholder: "COMMAND", about: "command that is told how a reload went" },
    "prefix-output": { about: "log the server's lines with its name and generation" },
    "restart": {
      placeholder: "TIME",
      about: "restart a server that crashes, after a pause of at most this",
      read: duration,
      default: "0s",
    },
  },
  environment: true,
  sections: {
    "The command": COMMAND,
    "Named sockets": NAMED_SOCKETS,
    "Times": TIMES,
    "Reloads": RELOADS,
    "Signals": SIGNALS,
    "Under systemd": SYSTEMD,
  },
  exitCodes: {
    "1": "the server could not be started, or ended so",
    "126, 127": "COMMAND cannot be run, was not found",
    "any other": "the server's own, 128 + n when signal n ended it",
  },
  examples: SERVERS.map((server) =>
    `multibinder exec ${server === TEMPLATE_SERVER ? "--drain 5m" : "--listen http=:80"} -- ` +
    server.example
  ),
  async run({ options, words: [first = "", ...rest] }) {
    const listen = options.listen.flat();
    const signs = (["notify", "poll", "fd"] as const).filter((sign) => options[`ready-${sign}`]);
    if (signs.length > 1) throw new UserError(TWO_SIGNS, { exitCode: EXIT.usage });
    const service = fromCommandLine(() => {
      insistOnDistinctNames(listen);
      return understand([first, ...rest], {
        named: listen,
        settle: options.settle,
        check: options.check,
        stopSignal: options["stop-signal"],
        killSignal: options["kill-signal"],
        sign: signs[0],
      }, options.server);
    });
    const format = options["log-format"];
    const log = createLog({ format, level: options["log-level"] });
    surviveStrayFailures(log);
    const naming = { name: first.replace(/^.*\//, ""), asFields: format === "json" };
    const wrapperOptions = {
      sock: options.sock,
      binderUid: options["binder-uid"],
      wait: options.wait,
      strict: options.strict,
      renderDir: options["render-dir"],
      control: options.control,
      metrics: options.metrics,
      listen,
      envFiles: options["env-file"],
      watch: options.watch,
      watchInterval: options["watch-interval"],
      naming: options["prefix-output"] ? naming : undefined,
      hooks: { before: options["before-reload"], after: options["after-reload"] },
      limits: {
        ready: options["ready-timeout"],
        settle: options.settle,
        drain: options.drain,
        maxRetired: options["max-generations"],
        stopDelay: options["stop-delay"],
        restart: options.restart,
      },
    };
    // A check of a config is a short command, and loads only what it needs.
    const run = service.purpose === "run"
      ? (await import("../wrapper/wrapper.ts")).runWrapper
      : (await import("../wrapper/run_once.ts")).runOnce;
    return await run(service, wrapperOptions, log);
  },
});
