/** `multibinder doctor`: what in the surroundings will cause trouble, and what to do about it. */

import { green, red, setColorEnabled, yellow } from "@std/fmt/colors";
import { Poller } from "../../ffi/poll.ts";
import { effectiveUid } from "../../ffi/process.ts";
import { isAbsent } from "../control/client_errors.ts";
import { EXIT, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import type { Finding } from "../finding.ts";
import { createLog } from "../log.ts";
import { Children } from "../process/children.ts";
import { examineMachine } from "../process/machine.ts";
import { isExecutedBy } from "../process/origin.ts";
import { examineUnit } from "../process/unit.ts";
import { Launch } from "../servers/launch.ts";
import { SERVERS, understand } from "../servers/servers.ts";
import { DEFAULT_BACKLOG } from "../sockets/listen.ts";
import { print, printJson } from "./output.ts";
import { Running } from "./running.ts";
import { SOCK } from "./shared_options.ts";
import { defineSubcommand } from "./subcommand.ts";

const WHAT = `
It asks the binder or wrapper at the control socket, and looks at the kernel's
settings and limits as that process has them, at the store of its systemd unit, and
at the server that runs, or that COMMAND would run: its version, build and config.
Nothing is changed. Where nobody answers, it looks at the machine as it is here.
`;

const ANSWER = `
A line for each thing that was looked at, "ok", "unknown" (not to be seen from here),
"warning" or "failure", and below it what to do. With --json it is a list of
{check, level, message, remedy}: checks are added over time, never renamed, and a
remedy is null where there is nothing to do.
`;

export const subcommand = defineSubcommand({
  name: "doctor",
  about: "find what will cause trouble here, and say what to do",
  argument: { name: "-- COMMAND", about: "a server's command line, as after exec", count: "any" },
  options: { sock: SOCK, json: { about: "print it as JSON" } },
  sections: { "What it looks at": WHAT, "Answer": ANSWER },
  exitCodes: { "0": "nothing will break; there may be warnings", "1": "something will break" },
  examples: [
    "multibinder doctor",
    "multibinder doctor --sock /run/site/control.sock --json",
    ...SERVERS.map(({ example }) => `multibinder doctor -- ${example}`),
  ],
  async run({ options, words }) {
    using children = new Children();
    const running = await whoAnswers(options.sock);
    const subject = running?.subject ??
      { process: "self", name: "a program started here", sockets: 0, backlog: DEFAULT_BACKLOG };
    const findings = [
      ...running?.examine() ?? [nobody(options.sock)],
      ...examineMachine(subject),
      ...await examineStore(running, children),
      ...await examineServer(running, words, children),
    ];
    setColorEnabled(Deno.stdout.isTerminal());
    const rows = findings.map(({ remedy = null, ...rest }) => ({ ...rest, remedy }));
    if (options.json) printJson(rows, 2);
    else print(findings.map(describe).join(""));
    return findings.some(({ level }) => level === "failure") ? EXIT.failure : EXIT.ok;
  },
});

async function whoAnswers(sock: string): Promise<Running | undefined> {
  try {
    return await Running.ask(sock);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function nobody(sock: string): Finding {
  return {
    check: "running",
    level: "unknown",
    message: `neither a binder nor a wrapper answers at ${sock}: this is about the machine alone`,
    remedy: "name a control socket with --sock",
  };
}

/** Examines the fd store of a binder's unit; systemd stores nothing for a wrapper. */
async function examineStore(running: Running | undefined, children: Children): Promise<Finding[]> {
  if (running?.pid === undefined || running.status.role !== "binder") return [];
  return [await examineUnit(running.pid, running.status.sockets.length, children)]
    .filter((finding) => finding !== undefined);
}

/** Examines the server that COMMAND names, or else the one that the wrapper runs, with its rendered config. */
async function examineServer(
  running: Running | undefined,
  words: readonly string[],
  children: Children,
): Promise<Finding[]> {
  const server = words.length > 0 ? undefined : running?.server;
  const [program, ...rest] = server === undefined ? words : commandOf(server, running);
  if (program === undefined && server === undefined) return [];
  if (program === undefined) {
    return [{
      check: "server",
      level: "unknown",
      message:
        `the server that runs (pid ${server}) is not asked what it is: another user has started it, ` +
        "or its file is not the one on disk",
      remedy: "name its command, as a user who may run it: multibinder doctor -- COMMAND",
    }];
  }
  try {
    const service = understand([program, ...rest], { named: [], settle: 0 });
    const log = createLog({ format: "text", level: "warn" });
    const launch = new Launch({
      children,
      poller: new Poller(),
      log,
      files: new Map(),
      env: Deno.env.toObject(),
    });
    return await service.examine?.(launch) ?? [];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [{
      check: "server",
      level: "failure",
      message: error.message,
      remedy:
        "name the command as after multibinder exec: its program must be found, and its options right",
    }];
  }
}

/**
 * The command line of a running server; empty when it cannot be trusted or seen. This process moves to the server's
 * working folder, where its relative paths mean the same. A process can show any words, so the program is taken from
 * the kernel: the file that was executed, by root or this user. Some servers show a title in the place of their words:
 * then the words count with which their wrapper was started.
 */
function commandOf(pid: number, running: Running | undefined): string[] {
  const own = [0, effectiveUid()];
  if (!running?.isTrusted || !isExecutedBy(own, pid)) return [];
  try {
    const [title = "", ...words] = wordsOf(pid);
    const program = Deno.readLinkSync(`/proc/${pid}/exe`);
    const [its, ours] = [`/proc/${pid}/exe`, program].map((path) => Deno.statSync(path));
    // The file has been replaced, or this path leads to another one in the process's container.
    if (its?.ino !== ours?.ino || its?.dev !== ours?.dev) return [];
    Deno.chdir(`/proc/${pid}/cwd`);
    if (words.length > 0 || !title.includes(" ")) return [program, ...words];
    const wrapper = running.pid;
    if (wrapper === undefined || !isExecutedBy(own, wrapper)) return [];
    const all = wordsOf(wrapper);
    Deno.chdir(`/proc/${wrapper}/cwd`);
    return all.includes("--") ? [program, ...all.slice(all.indexOf("--") + 2)] : [];
  } catch {
    return []; // It has just ended, or is not ours to look at.
  }
}

function wordsOf(pid: number): string[] {
  // After a title there may be any number of NULs.
  return Deno.readTextFileSync(`/proc/${pid}/cmdline`).replace(/\0+$/, "").split("\0");
}

const STYLES = { ok: green, unknown: String, warning: yellow, failure: red } as const;

function describe({ level, message, remedy }: Finding): string {
  const first = `${STYLES[level](level.padEnd(8))} ${escapeControls(message)}\n`;
  return remedy === undefined ? first : `${first}         ${escapeControls(remedy)}\n`;
}
