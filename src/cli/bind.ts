/** `multibinder bind`: the binder. */

import { DEFAULT_BACKLOG } from "../sockets/listen.ts";
import { createLog } from "../log.ts";
import { RESTRICTED } from "../sockets/socket_options.ts";
import { METRICS, SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";
import { duration, fileMode, wholeNumber } from "./values.ts";

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
for any address. PATTERN is HOST:PORTS: HOST as in an address, or
* for every one; PORTS a number, a range such as 8000-8099, or *. A lone * allows
everything. --backlog is for addresses that are asked for without a length.

Options are for every client, but interface, transparent, freebind, mark, user and
group: these are for root and the binder's own user, and --allow-option adds them one
by one. So is changing the options of a socket that is held.
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

const SIGNALS = `
SIGTERM, SIGINT   remove the control socket and exit with 0
SIGUSR1           upgrade in place: run the binary on disk, same pid, nothing lost
SIGUSR2, SIGHUP   nothing but a line in the log: these reload a wrapper
`;

const SYSTEMD = `
Sockets in LISTEN_FDS are taken; when there are such of a .socket unit, clients may
ask for them as for addresses. NOTIFY_SOCKET is told about the start, upgrades and
the stop, and stores the sockets; WATCHDOG_USEC is obeyed. With JOURNAL_STREAM on
standard error, the lines of the log have priorities instead of times.
`;

export const subcommand = defineSubcommand({
  name: "bind",
  about: "hold listening sockets and hand out copies (the binder)",
  argument: { name: "ADDRESS", about: "an address to listen on from the start", count: "any" },
  options: {
    "sock": { ...SOCK, about: "control socket to listen on" },
    "mode": {
      placeholder: "BITS",
      about: "its permission bits, in octal",
      read: fileMode,
      default: "0600",
    },
    "user": {
      placeholder: "USER",
      about: "become this user, once all is bound",
    },
    "owner": { placeholder: "USER", about: "owner of the control socket" },
    "group": { placeholder: "GROUP", about: "group of the control socket" },
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
      about: "warn of clients that wait unserved",
      read: duration,
      default: "10s",
    },
    "allow": {
      placeholder: "PATTERN",
      about: "addresses that clients may ask for as well",
      repeatable: true,
    },
    "allow-option": {
      placeholder: "NAME",
      about: "option of sockets that every client may ask for",
      choices: RESTRICTED,
      repeatable: true,
    },
  },
  talksTo: "nobody",
  sections: {
    "Addresses": ADDRESSES,
    "Who may connect": CLIENTS,
    "Signals": SIGNALS,
    "Under systemd": SYSTEMD,
  },
  examples: [
    "multibinder bind :80 :443",
    "multibinder bind --sock /run/multibinder.sock --group www-data --mode 0660 :80",
  ],
  async run({ options, words }) {
    const { runBinder } = await import("../binder/binder.ts");
    const log = createLog({ format: options["log-format"], level: options["log-level"] });
    return await runBinder({
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
      metrics: options.metrics,
      allowOption: options["allow-option"],
    }, log);
  },
});
