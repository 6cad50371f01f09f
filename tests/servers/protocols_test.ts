/** Servers that speak something else than HTTP lose no connection either. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import "../support/libc.ts";
import { acceptQueue } from "../../ffi/socket.ts";
import { startBinder } from "../support/binder.ts";
import { Wrapper } from "../support/haproxy.ts";
import { newTarget, type Target } from "../support/http_client.ts";
import { childrenOf, familyOf, hasEnded, suspend, until } from "../support/process_status.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";
import { hasProgram, ignoreUnless } from "../support/users.ts";
import { copySocket, WAITING } from "../support/waiting.ts";

const RELOADS = Number(Deno.env.get("MULTIBINDER_RELOADS") ?? 2);

interface Speaker {
  program: string;
  /** Writes its files. @returns its command line, with a socket named site */
  command(folder: TempDir, target: Target): string[];
  /** What a client sends, and the beginning of what it is answered. */
  request(folder: TempDir): number[];
  reply: string;
  options?: readonly string[];
}

const bytesOf = (text: string) => [...new TextEncoder().encode(text)];
const int32 = (value: number) =>
  [value >> 24, value >> 16, value >> 8, value].map((one) => one & 255);

/** A record of FastCGI (its specification, section 3.3), and a pair of names and values (3.4). */
const record = (type: number, content: readonly number[]) => [
  ...[1, type, 0, 1, content.length >> 8, content.length & 255, 0, 0],
  ...content,
];
const pair = (name: string, value: string) => [
  name.length,
  value.length,
  ...bytesOf(name + value),
];

const [BEGIN_REQUEST, PARAMS, STDIN] = [1, 4, 5];

const SPEAKERS: readonly Speaker[] = [
  {
    program: "php-fpm8.2",
    command(folder, { hostname, port }) {
      Deno.writeTextFileSync(folder.file("site.php"), "<?php echo 'it works';");
      const config =
        `[global]\nerror_log = /dev/stderr\nprocess_control_timeout = 5s\n[site]\nlisten = ${hostname}:${port}\n` +
        "pm = static\npm.max_children = 2\nuser = nobody\ngroup = nogroup\n";
      Deno.writeTextFileSync(folder.file("fpm.conf"), config);
      return ["php-fpm8.2", "--nodaemonize", "--fpm-config", folder.file("fpm.conf")];
    },
    request: (folder) => [
      ...record(BEGIN_REQUEST, [0, 1, 0, 0, 0, 0, 0, 0]),
      ...record(PARAMS, [
        ...pair("SCRIPT_FILENAME", folder.file("site.php")),
        ...pair("REQUEST_METHOD", "GET"),
      ]),
      ...record(PARAMS, []),
      ...record(STDIN, []),
    ],
    reply: "it works",
    // It has no workers yet when it has merely stayed up.
    options: ["--ready-notify"],
  },
  {
    program: "pgbouncer",
    command(folder) {
      // Its own database answers without a PostgreSQL.
      const config = "[databases]\n[pgbouncer]\nauth_type = any\nmax_client_conn = 1000\n" +
        "listen_addr =\nunix_socket_dir =\n";
      Deno.writeTextFileSync(folder.file("pgbouncer.ini"), config);
      return ["pgbouncer", "--user", "nobody", folder.file("pgbouncer.ini")];
    },
    // A StartupMessage of version 3.0, and the AuthenticationOk (PostgreSQL's manual, "Message Formats").
    request() {
      const rest = [...int32(196608), ...bytesOf("user\0test\0database\0pgbouncer\0\0")];
      return [...int32(rest.length + 4), ...rest];
    },
    reply: "R\0\0\0\x08\0\0\0\0",
  },
];

/** One conversation. @returns whether it was answered */
async function ask(target: Target, request: readonly number[], reply: string): Promise<boolean> {
  try {
    return await answered(await send(target, request), reply);
  } catch {
    return false;
  }
}

async function send(target: Target, request: readonly number[]): Promise<Deno.TcpConn> {
  const connection = await Deno.connect(target);
  await connection.write(new Uint8Array(request));
  return connection;
}

async function answered(connection: Deno.TcpConn, reply: string): Promise<boolean> {
  const decoder = new TextDecoder("latin1");
  const chunk = new Uint8Array(4096);
  const deadline = setTimeout(() => connection.close(), 15_000);
  try {
    for (let text = ""; !text.includes(reply);) {
      const length = await connection.read(chunk);
      if (length === null) return false;
      text += decoder.decode(chunk.subarray(0, length), { stream: true });
    }
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(deadline);
    try {
      connection.close();
    } catch {
      // At the deadline.
    }
  }
}

for (const { program, command, request, reply, options = [] } of SPEAKERS) {
  Deno.test({
    name: `${program}: what waits is served by the next one, and reloads lose no new connection`,
    ignore: ignoreUnless(hasProgram(program), `${program} is not installed`),
    async fn() {
      const target = newTarget();
      using folder = tempDir();
      await using binder = await startBinder();
      const listen = `site=${target.hostname}:${target.port}`;
      await using wrapper = new Wrapper("", {
        sock: binder.sock,
        args: ["--settle", "200ms", "--drain", "2s", "--listen", listen, ...options],
        command: command(folder, target),
      });
      await using cleanup = new AsyncDisposableStack();
      const { pid } = await wrapper.serving();
      const hanging = familyOf(pid);
      // php-fpm overwrites its environment, and with it the mark by which a test finds its processes.
      cleanup.defer(() => {
        const { program } = wrapper;
        const left = program.ended ? hanging : childrenOf(program.pid).flatMap(familyOf);
        for (const one of left) if (!hasEnded(one)) Deno.kill(one, "SIGKILL");
      });
      const words = request(folder);
      assertStrictEquals(await ask(target, words, reply), true);

      await suspend(...hanging);
      const waiting: Promise<boolean>[] = [];
      using socket = await copySocket(binder.sock, target);
      for (let count = 0; count < WAITING; count++) {
        waiting.push(answered(await send(target, words), reply));
      }
      await until(() => acceptQueue(socket).length === WAITING);
      assertStrictEquals((await wrapper.reload()).message, "generation 2 serves");
      assertEquals((await Promise.all(waiting)).filter((one) => !one).length, 0);
      hanging.forEach((one) => Deno.kill(one, "SIGCONT"));
      await wrapper.drained();

      let [asked, lost, isOver] = [0, 0, false];
      const workers = Array.from({ length: 4 }, async () => {
        for (; !isOver; asked++) if (!await ask(target, words, reply)) lost++;
      });
      for (let count = 0; count < RELOADS; count++) {
        assertStrictEquals((await wrapper.reload()).ok, true);
      }
      await wrapper.drained();
      isOver = true;
      await Promise.all(workers);
      assert(asked > RELOADS, `only ${asked} were asked`);
      assertStrictEquals(lost, 0);
    },
  });
}
