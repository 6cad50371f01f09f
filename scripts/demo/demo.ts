/**
 * The main job, shown with real traffic: HAProxy v1 is replaced by v2, and v2 reloaded. Started by
 * scripts/demo.sh with the path of the compiled program, and with `--svg FILE` for a picture of it; exits with 1
 * when a request or a step failed.
 */

import { bold, green, red } from "@std/fmt/colors";
import { Events, Program, StepError } from "./program.ts";
import { NEW_CONNECTION_CLIENTS, Traffic } from "./traffic.ts";
import { type Phase, problems, table, VERSIONS } from "./report.ts";
import { Screen } from "./screen.ts";
import { type Mark, timeline } from "./timeline.ts";

/** Of so many answers on new connections, one is shown. */
const SHOWN_EVERY = 20;
/** Answers on new connections after each step, before the next one. */
const ENOUGH = 72 * SHOWN_EVERY;

const SOCK = "binder.sock";
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/** The user ended the demonstration. */
class Interrupted extends Error {
  constructor(readonly signal: keyof typeof SIGNALS) {
    super(`interrupted by ${signal}`);
  }
}

/** HAProxy's config; the answer says which version gave it. */
function template(version: string): string {
  return `global
  maxconn 1000

defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout http-keep-alive 10s

frontend site
  bind <%= bind_tcp('127.0.0.1', ENV['PORT']) %>
  http-request return status 200 content-type text/plain string "${version}"
`;
}

/** What the steps share. */
interface Stage extends AsyncDisposable {
  readonly screen: Screen;
  readonly events: Events;
  readonly programs: Program[];
  /** Starts a program; the end of the demonstration stops it if no step has. */
  start(name: string, args: string[], env?: Record<string, string>): Program;
  /** Writes the template of `haproxy` so that it answers with `version`. */
  configure(haproxy: string, version: string): void;
}

function setStage(multibinder: string, screen: Screen, events: Events): Stage {
  const resources = new AsyncDisposableStack();
  const dir = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "multibinder-demo-" }));
  resources.defer(() => Deno.removeSync(dir, { recursive: true }));
  const programs: Program[] = [];
  return {
    screen,
    events,
    programs,
    start(name, args, env) {
      const program = resources.use(new Program(name, [multibinder, ...args], dir, events, env));
      programs.push(program);
      return program;
    },
    configure(haproxy, version) {
      Deno.writeTextFileSync(`${dir}/site.${haproxy}.cfg.eta`, template(version));
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/**
 * @param svg where a picture of it is to be written
 * @returns whether nothing was lost
 */
async function play(stage: Stage, svg: string | undefined): Promise<boolean> {
  const { screen } = stage;

  const bind = ["bind", "--sock", SOCK, "127.0.0.1:0"];
  screen.step(
    "A binder holds a listening socket, on a free port.",
    `multibinder ${bind.join(" ")}`,
  );
  const binder = stage.start("the binder", bind);
  await binder.logged(/listening for binds/);
  const [, port = ""] = await binder.logged(/holding address=127\.0\.0\.1:(\d+)/);
  screen.note(`holding 127.0.0.1:${port}`);

  const startHaproxy = (name: string) => {
    const exec = ["exec", "--sock", SOCK, "--", "haproxy", "-f", `site.${name}.cfg.eta`];
    const command = `PORT=${port} multibinder ${exec.join(" ")}`;
    stage.configure(name, name.toUpperCase());
    return { command, start: () => stage.start(`HAProxy ${name}`, exec, { PORT: port }) };
  };

  const v1 = startHaproxy("v1");
  screen.step(
    "HAProxy v1 runs on a copy of that socket, which its config names:",
    "grep bind site.v1.cfg.eta",
  );
  screen.note(template("V1").split("\n").find((line) => line.includes("bind")) ?? "");
  screen.command(v1.command);
  const wrapper1 = v1.start();
  await wrapper1.logged(/ serving /);

  screen.note(
    `${NEW_CONNECTION_CLIENTS} clients open a connection for each request, one keeps its own; ` +
      `1 in ${SHOWN_EVERY} answers is shown:`,
  );
  await using traffic = startTraffic(stage, Number(port));
  await traffic.answered(ENOUGH, ["V1"]);

  const marks: Mark[] = [];
  const mark = (text: string) => marks.push({ at: traffic.now, text });
  const v2 = startHaproxy("v2");
  screen.step("HAProxy v2 starts beside it, from a wrapper of its own. Both answer.", v2.command);
  traffic.begin("switch");
  mark("v2 is started");
  const wrapper2 = v2.start();
  await wrapper2.logged(/ serving /);
  mark("v2 serves beside v1");
  traffic.begin("switch"); // anew: both must answer from here on
  await traffic.answered(ENOUGH, ["V1", "V2"]);

  screen.step("v1 stops.", `kill -TERM ${wrapper1.pid}    # its wrapper`);
  mark("v1 is told to stop");
  await wrapper1.stop();
  mark("v1 has ended");
  traffic.begin("after");
  await traffic.answered(ENOUGH, ["V2"]);

  screen.step(
    "v2 is reloaded with a new config.",
    `sed -i 's/"V2"/"V3"/' site.v2.cfg.eta; kill -USR2 ${wrapper2.pid}    # its wrapper`,
  );
  stage.configure("v2", "V3");
  traffic.begin("reload");
  mark("v2 is told to reload, as v3");
  wrapper2.signal("SIGUSR2");
  await wrapper2.logged(/ reloaded /);
  mark("v3 has stayed up, v2 drains");
  await wrapper2.logged(/ drained generation=1 /);
  mark("v2 has ended");
  await traffic.answered(1, ["V2", "V3"]);
  traffic.begin("end");
  await traffic.answered(ENOUGH, ["V3"]);

  await traffic.stop();
  screen.step("Everything stops.", `kill -TERM ${wrapper2.pid} ${binder.pid}`);
  await wrapper2.stop();
  await binder.stop();

  screen.line("");
  const [header = "", ...rows] = table(traffic.outcomes, traffic.keepAlive);
  screen.line(header, bold);
  rows.forEach((line) => screen.line(line));
  screen.line("");
  const wrong = problems(traffic.outcomes);
  wrong.forEach((problem) => screen.line(problem, red));
  if (wrong.length === 0) screen.line("No request failed, no connection was lost.", green);
  if (svg !== undefined) {
    Deno.writeTextFileSync(svg, timeline(traffic.outcomes, marks, VERSIONS));
    screen.line(`The picture is in ${svg}.`);
  }
  return wrong.length === 0;
}

/** Traffic that is shown, and that steps can wait for. */
function startTraffic({ screen, events }: Stage, port: number) {
  let total = 0;
  /** Who answered on new connections since the last `begin`; undefined for a failed request. */
  let recent: (string | undefined)[] = [];
  const traffic = new Traffic(port, ({ client, version }) => {
    if (client !== "new") return;
    recent.push(version);
    if (version !== undefined && ++total % SHOWN_EVERY !== 0) return events.notify();
    try {
      screen.answer(version);
    } catch (error) {
      events.fail(error instanceof Error ? error : new Error(String(error)));
    }
    events.notify();
  });
  traffic.start();
  return {
    outcomes: traffic.outcomes,
    keepAlive: traffic.keepAlive,
    /** Milliseconds since it has begun. */
    get now(): number {
      return performance.now() - traffic.begun;
    },
    begin(phase: Phase): void {
      traffic.phase = phase;
      recent = [];
    },
    /** Waits for `count` requests since the last `begin`, answers of all the versions among them. */
    async answered(count: number, versions: string[]): Promise<void> {
      await events.until(`${count} answers, of ${versions.join(" and ")}`, () => {
        const all = versions.every((version) => recent.includes(version));
        return (all && recent.length >= count) || undefined;
      });
    },
    stop: () => traffic.stop(),
    [Symbol.asyncDispose]: () => traffic.stop(),
  };
}

async function main([multibinder, option, svg]: string[]): Promise<number> {
  const isRight = option === undefined || option === "--svg" && svg !== undefined;
  if (multibinder === undefined || !isRight) {
    throw new Error("usage: scripts/demo.sh [--svg FILE]");
  }
  const screen = new Screen();
  const events = new Events();
  for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) {
    Deno.addSignalListener(signal, () => events.fail(new Interrupted(signal)));
  }
  await using stage = setStage(Deno.realPathSync(multibinder), screen, events);
  const showLogs = () =>
    stage.programs.forEach(({ name, log }) => screen.line(`--- log of ${name}\n${log.trimEnd()}`));
  try {
    const fine = await play(stage, svg);
    if (!fine) showLogs();
    return fine ? 0 : 1;
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return 1; // nobody reads on
    if (error instanceof Interrupted) {
      screen.line("interrupted", red);
      return 128 + SIGNALS[error.signal];
    }
    if (!(error instanceof StepError)) throw error;
    screen.line(`FAILED: ${error.message}`, red);
    showLogs();
    return 1;
  }
}

Deno.exit(await main(Deno.args));
