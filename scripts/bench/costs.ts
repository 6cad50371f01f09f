/** What the program itself costs: its start, its upgrade, its memory, its size. */

import { multibinder, startBinder } from "../../tests/support/binder.ts";
import { ControlConnection } from "../../tests/support/control_client.ts";
import { site } from "../../tests/support/haproxy.ts";
import { processStatus } from "../../tests/support/process_status.ts";
import { type Program, startProgram } from "../../tests/support/program.ts";
import { freePort, loopbackHost, tempDir } from "../../tests/support/temp_dir.ts";
import { ask, fileOf, holding, outputOf, PASSING, startServer, timeOf } from "./binds.ts";
import { measure, type Result } from "./experiment.ts";
import { pause } from "./ways.ts";

/** A compiled program that says hello; with an argument it waits instead. */
const HELLO = Deno.env.get("BENCH_HELLO") ?? "";

const HELLO_STARTS = "start of a compiled hello world";

/** A name and what is measured of it. */
type Contenders = Record<string, () => Promise<number[]>>;

/** The longest that a client waits during an upgrade in place. */
export async function upgrades(isQuick: boolean): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const contenders: Contenders = { [HELLO_STARTS]: async () => [await timeOf([HELLO], 5)] };
  for (const count of [2, 10_000]) {
    const { binder: { sock }, host } = await holding(stack, count);
    contenders[`upgrade, ${count.toLocaleString("en-US")} sockets held`] = async () => {
      using control = await ControlConnection.open(sock);
      const end = new AbortController();
      const asking = ask({ sock, host, kept: true, seconds: 20 }, end.signal);
      await pause(100);
      await control.send('{"jsonrpc":"2.0","id":1,"method":"upgrade"}\n');
      const answer = await control.receive();
      if (answer?.result === undefined) throw new Error(JSON.stringify(answer));
      await pause(100);
      end.abort();
      return [(await asking).worst / 1000];
    };
  }
  return await measure({
    title: "The longest wait of a client during an upgrade in place",
    about:
      "It binds all the time, on a kept connection. The new program is a start of the runtime, which " +
      "is what hello world is.",
    columns: [{ name: "ms", kind: "ratio", digits: 1 }],
    reference: HELLO_STARTS,
    rounds: isQuick ? 3 : 9,
    contenders,
  });
}

/** How long programs take to start. */
export async function starts(isQuick: boolean): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(tempDir());
  const { binder: { sock }, host } = await holding(stack, 1);
  const knock = folder.file("knock");
  const server = [PASSING, "knock", knock];
  const port = `${freePort()}`;
  const holder = await fdHolder(stack, folder.path, [PASSING, "retrieve", sock, host, "20000"]);
  const times = isQuick ? 5 : 10;
  const upTo = (words: readonly string[], env = {}) => async () => [
    await timeOf([...words, ...server], times, knock, env),
  ];
  const toEnd = (...words: string[]) => async () => [await timeOf(words, times)];
  const address = `${host}:20000`;
  const retrieve = [PASSING, "retrieve", sock, host, "20000"];
  return await measure({
    title: "Starts",
    about:
      "The first ones up to the end of the program, the others up to the begin of the server. " +
      "`exec` of HAProxy also has its config checked. systemd-socket-activate starts a server at the " +
      "first connection, which is made as soon as it can be.",
    columns: [{ name: "ms", kind: "ratio", digits: 1 }],
    reference: HELLO_STARTS,
    rounds: isQuick ? 2 : 5,
    contenders: {
      [HELLO_STARTS]: toEnd(HELLO),
      "`multibinder --version`": toEnd(multibinder(), "--version"),
      "`multibinder status`": toEnd(multibinder(), "status", "--sock", sock),
      "`multibinder exec`": upTo([
        multibinder(),
        "exec",
        "--sock",
        sock,
        "--listen",
        address,
        "--",
      ]),
      "Server::Starter": upTo(["start_server", `--port=127.0.0.1:${port}`, "--"]),
      "systemd-socket-activate": upTo(["systemd-socket-activate", "-l", `127.0.0.1:${port}`], {
        POKE: port,
      }),
      "a bind from multibinder, in C": upTo(retrieve),
      "`s6-fdholder-retrieve`": upTo(["s6-fdholder-retrieve", holder, "site"]),
    },
  });
}

/** Starts s6's holder of descriptors, with a socket in it that is called "site". @returns its socket */
async function fdHolder(
  stack: AsyncDisposableStack,
  folder: string,
  retrieve: readonly string[],
): Promise<string> {
  const sock = `${folder}/holder`;
  const rules = `${folder}/rules/uid/0`;
  Deno.mkdirSync(`${rules}/env`, { recursive: true });
  Deno.writeTextFileSync(`${rules}/allow`, "");
  for (const name of ["S6_FDHOLDER_STORE_REGEX", "S6_FDHOLDER_RETRIEVE_REGEX"]) {
    Deno.writeTextFileSync(`${rules}/env/${name}`, ".*\n");
  }
  await startServer(stack, ["s6-fdholder-daemon", "-i", `${folder}/rules`, sock], sock);
  await outputOf([...retrieve, "s6-fdholder-store", sock, "site"]);
  return sock;
}

const VERSION = "`multibinder --version`";

/** A check of a config with 1,000 sockets. */
export async function checks(isQuick: boolean): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(tempDir());
  const host = loopbackHost();
  const { sock } = stack.use(await startBinder());
  const ports = Array.from({ length: 1000 }, (_, index) => 20_000 + index);
  const [template, plain] = [folder.file("many.cfg.eta"), folder.file("plain.cfg")];
  Deno.writeTextFileSync(
    template,
    site(ports.map((port) => `<%= bind_tcp('${host}', ${port}) %>`), "ok"),
  );
  Deno.writeTextFileSync(plain, site(ports.map((port) => `${host}:${port}`), "ok"));
  const times = isQuick ? 3 : 5;
  const time = (...words: string[]) => async () => [await timeOf(words, times)];
  const exec = [multibinder(), "exec", "--sock", sock, "--"];
  return await measure({
    title: "A config with 1,000 bind lines, rendered and checked",
    about: "HAProxy's own check is a part of it, measured with 1,000 addresses.",
    columns: [{ name: "ms", kind: "ratio", digits: 1 }],
    reference: VERSION,
    rounds: isQuick ? 2 : 7,
    contenders: {
      [VERSION]: time(multibinder(), "--version"),
      "`haproxy -c` alone": time("haproxy", "-c", "-f", plain),
      "`multibinder exec -- haproxy -c`": time(...exec, "haproxy", "-c", "-f", template),
    },
  });
}

/** Anonymous memory, in MB: what a process has for itself. */
function memoryOf({ pid }: Program): number {
  return Number.parseInt(processStatus(pid, "RssAnon") ?? "") / 1000;
}

/** Memory of what waits for work. */
export async function memory(isQuick: boolean): Promise<Result> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(tempDir());
  const host = loopbackHost();
  const of = (start: (own: AsyncDisposableStack) => Promise<Program>) => async () => {
    await using own = new AsyncDisposableStack();
    const program = await start(own);
    await pause(500);
    return [memoryOf(program)];
  };
  const worked = async (own: AsyncDisposableStack) => {
    const binder = own.use(await startBinder());
    const { sock } = binder;
    for (let bound = 0; bound < (isQuick ? 10_000 : 100_000);) {
      bound += (await ask({ sock, host, clients: 50, seconds: 0.5 })).count;
    }
    const crowd = own.use(startProgram([PASSING, "hold", sock, "1000"]));
    await crowd.waitFor(/connected/);
    await crowd[Symbol.asyncDispose]();
    await ask({ sock, host, seconds: 0.1 });
    await pause(1500);
    return binder.program;
  };
  const server = (sock: string, ...argv: [string, ...string[]]) => (own: AsyncDisposableStack) => {
    return startServer(own, argv, folder.file(sock));
  };
  const [ruby, c, s6] = ["ruby", "c", "s6"].map((name) => folder.file(name));
  return await measure({
    title: "Anonymous memory",
    about: "Of a process that waits for work (RssAnon of proc(5)). The last of ours has answered " +
      `${
        isQuick ? "10,000" : "100,000"
      } binds and then had 1,000 clients at once, which have left.`,
    columns: [{ name: "MB", kind: "ratio", digits: 1 }],
    reference: "a compiled hello world, waiting",
    rounds: 1,
    contenders: {
      "a compiled hello world, waiting": of((own) =>
        Promise.resolve(own.use(startProgram([HELLO, "wait"])))
      ),
      "`multibinder bind`": of(async (own) => own.use(await startBinder([`${host}:80`])).program),
      "the same, after work": of(worked),
      "a Ruby server": of(server("ruby", "ruby", fileOf("old_binder.rb"), ruby ?? "")),
      "s6-fdholder-daemon": of(server("s6", "s6-fdholder-daemon", "-i", folder.path, s6 ?? "")),
      "a loop in C": of(server("c", PASSING, "serve", c ?? "", host, "20000")),
    },
  });
}

/** Sizes of files. */
export function sizes(): Promise<Result> {
  const of = (path: string) => () => Promise.resolve([Deno.statSync(path).size / 1e6]);
  return measure({
    title: "Size of the program",
    about: "An image has its base besides, and nothing else.",
    columns: [{ name: "MB", kind: "ratio", digits: 1 }],
    reference: "a compiled hello world",
    rounds: 1,
    contenders: { "a compiled hello world": of(HELLO), "multibinder": of(multibinder()) },
  });
}
