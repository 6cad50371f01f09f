/** `multibinder bind`: the binder. */

import { DEFAULT_BACKLOG } from "../sockets/listen.ts";
import { runBinder } from "../binder/binder.ts";
import { DEFAULT_SOCK } from "../control/client.ts";
import {
  collect,
  createCommand,
  fileMode,
  logOf,
  parse,
  sockFromEnvironment,
  wholeNumber,
} from "./options.ts";

const HELP = `
ADDRESS is one of
  :80  0.0.0.0:80      every IPv4 address
  127.0.0.1:8080       one address; a host name is looked up once
  [::]:80  [::1]:80    IPv6 only
  *:80                 IPv4 and IPv6 on one socket
  unix:/run/site.sock  a UNIX stream socket
  udp::443             a UDP socket; any of the above after "udp:"

With addresses, clients get these alone unless --allow adds more; without any, clients
may ask for any address. PATTERN is HOST:PORTS: HOST as in an address, or * for every
one; PORTS a number, a range such as 8000-8099, or *. A lone * allows everything.

Who may connect: the file's --mode, --owner and --group say it to the kernel, and the binder
asks the kernel who the client is: root, its own user, --owner, the members of --group, and
whom --allow-uid and --allow-gid add. Only root and its own user may give sockets up (unbind)
and upgrade; with --adopt-uid others may hand back, after a restart, what this binder made.

With --user the control socket is that user's, and ports below 1024 can be bound no more.

Signals:
  SIGTERM, SIGINT      remove the control socket and exit with 0
  SIGUSR1              upgrade in place: run the binary on disk, same pid, nothing lost
  SIGUSR2, SIGHUP      nothing but a line in the log: these reload a wrapper

Under systemd: sockets in LISTEN_FDS are taken, and when there are such of a .socket unit,
clients may ask for them as for addresses. NOTIFY_SOCKET is told about the start, upgrades
and the stop, and stores the sockets; WATCHDOG_USEC is obeyed. With JOURNAL_STREAM on
standard error, the lines of the log have priorities instead of times.

Examples:
  multibinder bind :80 :443
  multibinder bind --sock /run/multibinder.sock --group www-data --mode 0660 :80
`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  let code = 0;
  const command = createCommand("bind", "Hold listening sockets and hand copies of them out.")
    .argument("[address...]", "to listen on from the start")
    .option("--sock <path>", `control socket (default: $MULTIBINDER_SOCK, else ${DEFAULT_SOCK})`)
    .option(
      "--mode <bits>",
      "permission bits of the control socket, in octal (default: 0600)",
      fileMode,
    )
    .option("--user <user>", "become this user, without any privilege, once all is bound")
    .option("--owner <user>", "owner of the control socket, by name or number")
    .option("--group <group>", "group of the control socket, by name or number")
    .option(
      "--allow-uid <user>",
      "user who may connect as well, * for all; repeatable",
      collect,
      [],
    )
    .option("--allow-gid <group>", "group that may connect as well; repeatable", collect, [])
    .option(
      "--adopt-uid <user>",
      "user who may hand sockets back as well; repeatable",
      collect,
      [],
    )
    .option(
      "--backlog <n>",
      "length of an accept queue, unless a request asks for its own",
      wholeNumber(0),
      DEFAULT_BACKLOG,
    )
    .option(
      "--allow <pattern>",
      "addresses that clients may ask for as well; repeatable",
      collect,
      [],
    )
    .addHelpText("after", HELP)
    .action(async (addresses: string[], options) => {
      code = await runBinder(
        {
          addresses,
          sock: options.sock ?? sockFromEnvironment() ?? DEFAULT_SOCK,
          mode: options.mode ?? 0o600,
          user: options.user,
          owner: options.owner,
          group: options.group,
          allowUid: options.allowUid,
          allowGid: options.allowGid,
          adoptUid: options.adoptUid,
          backlog: options.backlog,
          allow: options.allow,
        },
        logOf(options),
      );
    });
  await parse(command, args);
  return code;
}
