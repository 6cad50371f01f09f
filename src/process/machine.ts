/**
 * Finds settings of the kernel and limits of a process that will cause trouble. It reads /proc (proc(5)), and changes
 * nothing.
 * @module
 */

import { type Finding, fine } from "../finding.ts";

/** Reads a file of /proc; undefined when it is not there, or not for us. */
export type Read = (path: string) => string | undefined;

/** A process whose surroundings are examined. */
export interface Subject {
  /** As the paths of /proc name it: its pid, or `self`. */
  process: number | "self";
  /** As messages call it. */
  name: string;
  /** Sockets that it holds. */
  sockets: number;
  /** The longest accept queue that one was asked for. */
  backlog: number;
}

/** CAP_SYS_PTRACE of capabilities(7). */
const CAP_SYS_PTRACE = 19n;

/** Descriptors that a role opens besides the sockets that it holds. */
const OWN_FILES = 64;

/** As {@link Read}, from the machine itself. */
const readFile: Read = (path) => {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
};

/** Looks at the machine as one process has it. */
export function examineMachine(subject: Subject, read: Read = readFile): Finding[] {
  return [
    queueLimit(subject, read),
    queueOverflow(subject, read),
    openFiles(subject, read),
    tracing(subject, read),
  ];
}

/** The kernel cuts each backlog to its own limit, and tells nobody. */
function queueLimit({ name, process, backlog }: Subject, read: Read): Finding {
  const check = "somaxconn";
  const most = ofNamespace(process, read, "/proc/sys/net/core/somaxconn");
  if (most === undefined) return unseen(check, `net.core.somaxconn of ${name}`);
  if (most >= backlog) {
    return fine(check, `net.core.somaxconn is ${most}: enough for a backlog of ${backlog}`);
  }
  return {
    check,
    level: "warning",
    message:
      `net.core.somaxconn is ${most}, and a backlog of ${backlog} is asked for: the kernel makes it ${most}, ` +
      "and drops what does not fit",
    remedy:
      `sysctl -w net.core.somaxconn=${backlog} (in a file of /etc/sysctl.d to last), then have the ` +
      "sockets asked for again, as a reload does",
  };
}

function queueOverflow({ name, process }: Subject, read: Read): Finding {
  const check = "tcp_abort_on_overflow";
  const value = ofNamespace(process, read, "/proc/sys/net/ipv4/tcp_abort_on_overflow");
  if (value === undefined) return unseen(check, `net.ipv4.tcp_abort_on_overflow of ${name}`);
  if (value === 0) {
    return fine(
      check,
      "net.ipv4.tcp_abort_on_overflow is 0: a client that finds a full queue tries again",
    );
  }
  return {
    check,
    level: "failure",
    message:
      "net.ipv4.tcp_abort_on_overflow is on: a client that finds a full accept queue is reset, where it " +
      "would otherwise try again while a server is replaced",
    remedy: "sysctl -w net.ipv4.tcp_abort_on_overflow=0",
  };
}

function openFiles({ name, process, sockets }: Subject, read: Read): Finding {
  const check = "descriptors";
  const limits = read(`/proc/${process}/limits`);
  const hard = /^Max open files +\S+ +(\S+)/m.exec(limits ?? "")?.[1];
  if (hard === undefined) return unseen(check, `the limit of open files of ${name}`);
  const most = hard === "unlimited" ? Infinity : Number(hard);
  const needed = sockets + OWN_FILES;
  // The soft limit is raised to the hard one at the start.
  if (most >= 2 * needed) {
    return fine(check, `${name} may open ${hard} files, and needs about ${needed}`);
  }
  return {
    check,
    level: most < needed ? "failure" : "warning",
    message:
      `${name} may open ${hard} files, and with ${sockets} sockets needs about ${needed} and as many ` +
      "again while clients come",
    remedy:
      "raise the hard limit: LimitNOFILE= of the unit, --ulimit nofile= of the container, or ulimit -Hn",
  };
}

/** Without the right to trace a server, its sockets cannot be taken over, and its drain may use up a core. */
function tracing({ name, process }: Subject, read: Read): Finding {
  const check = "ptrace_scope";
  const scope = Number(read("/proc/sys/kernel/yama/ptrace_scope") ?? 0);
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(read(`/proc/${process}/status`) ?? "")?.[1];
  if (capabilities === undefined) return unseen(check, `the capabilities of ${name}`);
  const mayTrace = (BigInt(`0x${capabilities}`) >> CAP_SYS_PTRACE & 1n) === 1n;
  if (scope === 0 || (mayTrace && scope < 3)) {
    const who = mayTrace ? "it has CAP_SYS_PTRACE" : "processes of its own user are enough";
    return fine(
      check,
      `kernel.yama.ptrace_scope is ${scope}: ${name} may trace its servers, as ${who}`,
    );
  }
  return {
    check,
    level: "warning",
    message:
      `kernel.yama.ptrace_scope is ${scope}, and ${name} ${
        mayTrace ? "has" : "lacks"
      } CAP_SYS_PTRACE: ` +
      "without a binder the next wrapper cannot take the sockets over from a server whose wrapper was killed" +
      (scope > 1 ? ", and an old generation may use a core while it drains" : ""),
    remedy: scope === 3
      ? "it cannot be lowered while the machine runs: boot with kernel.yama.ptrace_scope=0 or 1, or use a binder"
      : "use a binder, give the wrapper CAP_SYS_PTRACE, or sysctl -w kernel.yama.ptrace_scope=0",
  };
}

/** A setting of the network namespace of a process; undefined when that is not our own. */
function ofNamespace(process: Subject["process"], read: Read, path: string): number | undefined {
  const text = isOurNetwork(process) ? read(path) : undefined;
  return text === undefined ? undefined : Number(text);
}

function isOurNetwork(process: Subject["process"]): boolean {
  try {
    const network = (one: Subject["process"]) => Deno.readLinkSync(`/proc/${one}/ns/net`);
    return process === "self" || network(process) === network("self");
  } catch {
    return false; // Not ours to look at.
  }
}

function unseen(check: string, what: string): Finding {
  return {
    check,
    level: "unknown",
    message: `${what} cannot be seen from here`,
    remedy: "run multibinder doctor where that process runs: as its user, and in its container",
  };
}
