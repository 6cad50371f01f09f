/** `multibinder bind`: the binder. */

import type { BinderOptions } from "../binder/options.ts";
import { DEFAULT_BACKLOG } from "../sockets/listen.ts";
import { EXIT, messageOf } from "../errors.ts";
import { hasState } from "../process/own_variables.ts";
import { createLog } from "../log.ts";
import { RESTRICTED } from "../sockets/socket_options.ts";
import { type CommandLine, COMMON_OPTIONS, defineSubcommand } from "./subcommand.ts";
import type { Options } from "./option.ts";
import { print } from "./output.ts";
import { METRICS, SOCK } from "./shared_options.ts";
import { duration, fileMode, holder, wholeNumber } from "./values.ts";

const ADDRESSES = `
ADDRESS is one of
  :80  *:80            every IPv4 address, as 0.0.0.0:80
  127.0.0.1:8080       one address; a host name is looked up once
  [::]:80  [::1]:80    IPv6 only
  [::]:80,v4v6         IPv4 and IPv6 on one socket
  unix:/run/site.sock  a UNIX stream socket
  udp::443             a UDP socket; any of the above after "udp:"

Several may stand with commas between them, and ports as a range, such as 8001-8009.
What follows a comma and is no address is an option of the address before it:
  backlog=N            length of its accept queue
  v4v6  v6only         with [::]: both families, or IPv6 alone (as without it)
  interface=NAME       only what comes in through that network interface
  reuseport=N          N sockets, among which the kernel divides the connections
  defer-accept         TCP: accepted once the client has sent something
  tfo  mss=N  mptcp    TCP Fast Open, the largest segment, Multipath TCP
  transparent          connections to addresses of others (needs CAP_NET_ADMIN)
  freebind             an address that this machine does not have yet
  mark=N               a mark on its packets (needs CAP_NET_ADMIN)
  mode= user= group=   of a UNIX socket's file

With addresses or --allow, clients get these alone; without any, clients may ask
for any address, unless a config says addresses = [] or allow = []. PATTERN is
HOST:PORTS: HOST as in an address, or * for every one; PORTS a number, a range such
as 8000-8099, or *. A lone * allows everything. --backlog is for addresses that are
asked for without a length.

With --take the socket of each ADDRESS is copied out of the process that listens there,
and with it what waits in its queue: PID, or with auto whoever it is, if anybody. That
process goes on with its own copy until it is stopped. It takes root, or the same user
with the right to trace it.

A socket that a client has asked for is held for ever, or until unbind. With
--release-unused it is given up once for TIME no wrapper that is connected has named it,
no process had it open, and nobody has asked for it; clients that wait in its queue then
are refused. Where not every process can be seen, as in a container, nothing is given up.

Options are for every client, but interface, transparent, freebind, mark, user and
group: these are for root and the binder's own user, and --allow-option allows them to
all, one by one. Only root and that user may change the options of a socket that is held.
`;

const CLIENTS = `
The control socket's file says to the kernel who may connect, by --mode, --owner
and --group. Then the binder asks the kernel who the client is, and lets in root,
its own user, --owner, the members of --group, and whom --allow-uid and --allow-gid
add. Only root and its own user may give sockets up (unbind) and upgrade the binder;
with --adopt-uid others may hand back, after a restart, what this binder made.

With --user the binder gives up every privilege: the control socket is that user's,
and ports below 1024 can be bound no more. Users and groups go by name or number.
`;

const CONFIG = `
A file in TOML. Its names are those of the options, without dashes before them, and
addresses; values are texts in quotes, lists of these where an option may be repeated,
and numbers where N stands. The command line and the environment override it; its
addresses are added to theirs.
  addresses = [":80", "[::]:80"]
  allow-gid = ["www-data"]
  backlog = 4096
--check only reads it, and says what is wrong in which line. SIGHUP and multibinder
reload read it again, and do what is new: addresses are bound, all or none; those gone
are given up, unless a connected wrapper uses them; and the rules change for who may
connect and ask for what. Anything wrong changes nothing. The other options take effect
at the next start.
`;

const SIGNALS = `
SIGTERM, SIGINT   remove the control socket and exit with 0
SIGUSR1           upgrade in place: run the binary on disk, same pid, nothing lost
SIGHUP            read the config file again, and do what is new in it
SIGUSR2           nothing but a line in the log: it reloads a wrapper
`;

const SYSTEMD = `
The sockets in LISTEN_FDS are taken; clients may ask for those of a .socket unit as for
addresses of the command line. systemd is told about the start, upgrades and the stop,
and stores the sockets (NOTIFY_SOCKET); WATCHDOG_USEC is obeyed. With JOURNAL_STREAM on
standard error, the lines of the log have priorities instead of times.
`;

const OPTIONS = {
  "config": { placeholder: "FILE", about: "a TOML file with addresses and options" },
  "check": { about: "check command line and config, and end", instead: true },
  "sock": { ...SOCK, about: "control socket to listen on" },
  "allow": {
    placeholder: "PATTERN",
    about: "addresses that clients may ask for as well",
    repeatable: true,
  },
  "allow-uid": {
    placeholder: "USER",
    about: "user who may connect as well, * for all",
    repeatable: true,
  },
  "allow-gid": {
    placeholder: "GROUP",
    about: "group that may connect as well",
    repeatable: true,
  },
  "take": {
    placeholder: "PID",
    about: "process to take ADDRESS over from, or auto",
    read: holder,
  },
  "mode": {
    placeholder: "BITS",
    about: "permission bits of the control socket, in octal",
    read: fileMode,
    default: "0600",
  },
  "user": {
    placeholder: "USER",
    about: "become this user once all addresses are bound",
  },
  "owner": { placeholder: "USER", about: "owner of the control socket" },
  "group": { placeholder: "GROUP", about: "group of the control socket" },
  "adopt-uid": {
    placeholder: "USER",
    about: "user who may hand sockets back as well",
    repeatable: true,
  },
  "backlog": {
    placeholder: "N",
    about: "length of an accept queue",
    read: wholeNumber(0),
    default: String(DEFAULT_BACKLOG),
  },
  "metrics": METRICS,
  "unserved-after": {
    placeholder: "TIME",
    about: "warn when clients have waited unserved for this long",
    read: duration,
    default: "10s",
  },
  "release-unused": {
    placeholder: "TIME",
    about: "give up a socket that nothing has used for this long",
    read: duration,
  },
  "allow-option": {
    placeholder: "NAME",
    about: "option of sockets that every client may ask for",
    choices: RESTRICTED,
    repeatable: true,
  },
} as const satisfies Options;

export const subcommand = defineSubcommand({
  name: "bind",
  about: "hold listening sockets and hand out copies (the binder)",
  argument: { name: "ADDRESS", about: "an address to listen on from the start", count: "any" },
  options: OPTIONS,
  environment: true,
  sections: {
    "Addresses": ADDRESSES,
    "Who may connect": CLIENTS,
    "The config file": CONFIG,
    "Signals": SIGNALS,
    "Under systemd": SYSTEMD,
  },
  examples: [
    "multibinder bind :80 :443",
    "multibinder bind --sock /run/multibinder.sock --group www-data --mode 0660 :80",
  ],
  async run(line) {
    const { config, check, ...common } = line.options;
    const log = createLog({ format: common["log-format"], level: common["log-level"] });
    const read = config === undefined
      ? () => Promise.resolve(optionsOf(line))
      : () => readAll(line, config);
    if (check) {
      const options = await read();
      const { checkOptions } = await import("../binder/options.ts");
      await checkOptions(options);
      const count = options.addresses.length;
      print(`nothing is wrong; ${count} ${count === 1 ? "address" : "addresses"} to hold\n`);
      return EXIT.ok;
    }
    const { runBinder } = await import("../binder/binder.ts");
    const options = await read().catch((error: unknown) => {
      if (!hasState()) throw error;
      // A successor goes on with what the program before it has handed over.
      log.error("cannot do as the config says", { error: messageOf(error) });
      return optionsOf(line);
    });
    return await runBinder(options, log, config === undefined ? undefined : read);
  },
});

function optionsOf({ options, words }: CommandLine<typeof OPTIONS>): BinderOptions {
  return {
    addresses: words,
    sock: options.sock,
    mode: options.mode,
    user: options.user,
    owner: options.owner,
    group: options.group,
    allowUid: options["allow-uid"],
    allowGid: options["allow-gid"],
    adoptUid: options["adopt-uid"],
    backlog: options.backlog,
    unservedAfter: options["unserved-after"],
    allow: options.allow,
    take: options.take,
    releaseUnused: options["release-unused"],
    metrics: options.metrics,
    allowOption: options["allow-option"],
  };
}

/** What the command line and the config file say together, checked. */
async function readAll(
  line: CommandLine<typeof OPTIONS>,
  path: string,
): Promise<BinderOptions> {
  const { withPlace, readConfig } = await import("./bind_config.ts");
  const { parseCommandLine } = await import("./command_line.ts");
  const { checkOptions } = await import("../binder/options.ts");
  const config = await readConfig(path, { ...OPTIONS, ...COMMON_OPTIONS });
  try {
    const both = await parseCommandLine(
      { ...subcommand, options: OPTIONS },
      line.args,
      config.settings,
    );
    const { addresses, ...options } = optionsOf(both === "help" ? line : both);
    const all = {
      ...options,
      addresses: [...addresses, ...config.addresses.map(({ text }) => text)],
      hasLists: config.hasLists,
    };
    await checkOptions(all);
    return all;
  } catch (error) {
    throw withPlace(error, config);
  }
}
