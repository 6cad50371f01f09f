/** What about a running binder or wrapper will cause trouble, as far as its status and /proc tell. */

import { effectiveUid } from "../../ffi/process.ts";
import { ControlClient } from "../control/client.ts";
import { PEERS } from "../control/expected_peer.ts";
import { type Finding, fine } from "../finding.ts";
import type { Subject } from "../process/machine.ts";
import { linkAt, textAt } from "../proc.ts";
import { list, natural, object, orAbsent, orNull, text, truth } from "../process/shape.ts";
import { DEFAULT_BACKLOG } from "../sockets/listen.ts";
import { VERSION } from "../version.ts";

/** The part of what a wrapper tells of its service that is looked at. */
interface Serving {
  service?: string;
  generations?: { number: number; pid: number; state: string }[];
  lastReload?: { ok: boolean; message: string } | null;
}

/** The part of a status that is looked at; neither a binder nor a wrapper has all of it. */
interface Status extends Serving {
  role: string;
  version: string;
  pid: number;
  sockets: { address: string; backlog?: number; queue?: { limit: number } }[];
  missing?: string[];
  troubles?: { kind: string; message: string }[];
  wrappers?: Serving[];
  binder?: { sock: string; connected: boolean } | null;
}

const SERVING = {
  service: orAbsent(text()),
  generations: orAbsent(list(object<NonNullable<Serving["generations"]>[number]>({
    number: natural,
    pid: natural,
    state: text(),
  }))),
  lastReload: orAbsent(orNull(object<NonNullable<Serving["lastReload"]>>({
    ok: truth,
    message: text(),
  }))),
};

const status = object<Status>({
  ...SERVING,
  role: text(),
  version: text(),
  pid: natural,
  sockets: list(object<Status["sockets"][number]>({
    address: text(),
    backlog: orAbsent(natural),
    queue: orAbsent(object<{ limit: number }>({ limit: natural })),
  })),
  missing: orAbsent(list(text())),
  troubles: orAbsent(list(object<{ kind: string; message: string }>({
    kind: text(),
    message: text(),
  }))),
  wrappers: orAbsent(list(object<Serving>(SERVING))),
  binder: orAbsent(orNull(object<{ sock: string; connected: boolean }>({
    sock: text(),
    connected: truth,
  }))),
});

/** How many old generations that drain at once are a warning: more than a few quick reloads leave for a moment. */
const MANY = 3;

/** A running binder or wrapper. */
export class Running {
  private constructor(
    readonly sock: string,
    readonly status: Status,
    /** Its pid as we see it; undefined when we do not see the process, as that of another container. */
    readonly pid: number | undefined,
    /** Whether root or this user answers there. */
    readonly isTrusted: boolean,
  ) {}

  /**
   * Asks at a control socket.
   * @throws {NoBinderError} when nobody answers there
   */
  static async ask(sock: string): Promise<Running> {
    using client = ControlClient.connect(sock, undefined, undefined, PEERS.either);
    const found = status(await client.call("status", []), "status");
    const { pid, uid } = client.answering;
    return new Running(sock, found, pidOf(found, pid), [0, effectiveUid()].includes(uid));
  }

  get name(): string {
    return `the ${this.status.role} at ${this.sock}`;
  }

  /** What {@link examineMachine} is to look at; undefined when we do not see its process. */
  get subject(): Subject | undefined {
    const { sockets } = this.status;
    const backlogs = sockets.flatMap(({ backlog = [] }) => backlog);
    const backlog = backlogs.length > 0 ? Math.max(...backlogs) : DEFAULT_BACKLOG;
    return this.pid === undefined
      ? undefined
      : { process: this.pid, name: this.name, sockets: sockets.length, backlog };
  }

  /** The process of the server that serves; undefined for none, and for a binder. */
  get server(): number | undefined {
    if (this.pid === undefined) return undefined;
    return this.status.generations?.find(({ state }) => state === "serving")?.pid;
  }

  /** Examines its status and its program. */
  examine(): Finding[] {
    return [
      this.#binary(),
      ...this.#cutQueues(),
      ...this.#missing(),
      ...this.#troubles(),
      ...this.#generations(),
      ...this.#lastReload(),
      ...this.#binder(),
    ];
  }

  #binary(): Finding {
    const check = "binary";
    const { version } = this.status;
    const file = this.pid === undefined ? "" : linkAt(`/proc/${this.pid}/exe`);
    const isReplaced = file.endsWith(" (deleted)");
    if (!isReplaced && version === VERSION) {
      const message = `${this.name} is version ${version}, as this program`;
      return file === ""
        ? { check, level: "unknown", message: `${message}; its file cannot be seen from here` }
        : fine(check, `${message}, and its file is the one on disk`);
    }
    return {
      check,
      level: "warning",
      message: isReplaced
        ? `${this.name} runs a program that was replaced on disk since (version ${version})`
        : `${this.name} is version ${version}, and this program is ${VERSION}`,
      remedy: `multibinder upgrade --sock ${this.sock}`,
    };
  }

  /** Accept queues that the kernel has made shorter than they were asked for. */
  #cutQueues(): Finding[] {
    const check = "accept_queue";
    const cut = this.status.sockets.flatMap(({ address, backlog = 0, queue }) =>
      queue && queue.limit < backlog ? [`${address} (${queue.limit} of ${backlog})`] : []
    );
    if (cut.length === 0) return [];
    return [{
      check,
      level: "warning",
      message: `accept queues are shorter than was asked for: ${some(cut)}`,
      remedy:
        "raise net.core.somaxconn where the binder runs (with --sysctl for a container), and start it again",
    }];
  }

  #missing(): Finding[] {
    const { missing } = this.status;
    if (missing === undefined || missing.length === 0) return [];
    return [{
      check: "missing",
      level: "failure",
      message: `${this.name} does not hold ${some(missing)} of its command line`,
      remedy: "its log says who has it: stop that one, and start the binder again",
    }];
  }

  #troubles(): Finding[] {
    return (this.status.troubles ?? []).map(({ kind, message }) => ({
      check: `listener_${kind}`,
      level: kind === "unserved" ? "failure" : "warning",
      message,
      remedy: kind === "unserved"
        ? "start the server again: what waits is served then"
        : "a faster server, or for bursts a longer backlog and net.core.somaxconn",
    }));
  }

  /** The service of a wrapper; those of all its wrappers of a binder. */
  get #services(): readonly Serving[] {
    return this.status.wrappers ?? [this.status];
  }

  #generations(): Finding[] {
    const check = "old_generations";
    return this.#services.flatMap(({ service = "the service", generations }) => {
      if (generations === undefined) return [];
      const old = generations.filter(({ state }) => state === "draining");
      if (old.length < MANY) {
        return [fine(check, `${service}: ${old.length} old generations drain`)];
      }
      const pids = some(old.map(({ pid }) => String(pid)));
      return [{
        check,
        level: "warning" as const,
        message:
          `${service}: ${old.length} old generations drain at once (pids ${pids}): each has a ` +
          "process's memory, and clients that stay",
        remedy:
          "a shorter --drain, fewer --max-generations, or timeouts in the config for clients that stay",
      }];
    });
  }

  #lastReload(): Finding[] {
    return this.#services.flatMap(({ service = "the service", lastReload }) => {
      if (!lastReload || lastReload.ok) return [];
      return [{
        check: "last_reload",
        level: "failure" as const,
        message:
          `${service}: the last reload failed, and an older config is served: ${lastReload.message}`,
        remedy: "mend the config, then reload again",
      }];
    });
  }

  #binder(): Finding[] {
    const { binder } = this.status;
    if (!binder || binder.connected) return [];
    return [{
      check: "binder",
      level: "failure",
      message:
        `${this.name} has no connection to its binder at ${binder.sock}: a reload with a new address fails`,
      remedy: "start the binder again: the wrapper hands its sockets back by itself",
    }];
  }
}

/** A few of many, and how many more there are. */
function some(texts: readonly string[]): string {
  const rest = texts.length - 5;
  return texts.slice(0, 5).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/**
 * The pid of a process as we see it: the one that it tells, if it has the same here.
 * @param listener who made the control socket listen, as the kernel tells it in our own PID namespace: the process
 *   itself, or process 1 for the socket of a unit
 */
function pidOf({ pid }: Status, listener: number): number | undefined {
  if (listener === pid) return pid;
  const words = textAt(`/proc/${pid}/cmdline`).split("\0");
  return listener === 1 && words.includes("bind") ? pid : undefined;
}
