/** A list of sockets that is kept up to date: a screen on a terminal, lines elsewhere. */

import { bold, red, setColorEnabled, stripAnsiCode } from "@std/fmt/colors";
import { EXIT, UserError } from "../errors.ts";
import { escapeControls } from "../escape.ts";
import { print, printJson } from "./output.ts";
import { type ListedSocket, listSockets } from "./socket_list.ts";
import { isInTrouble, socketLines, troubleLines } from "./socket_table.ts";

/** What is watched, and how. */
export interface Watch {
  sock: string;
  /** Milliseconds between two looks. */
  interval: number;
  json: boolean;
}

/** Shows the list again and again, until a signal or a key ends it. @returns the exit code */
export async function watchSockets({ sock, interval, json }: Watch): Promise<number> {
  const end = Promise.withResolvers<"end">();
  const stop = () => end.resolve("end");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, stop);
  }
  const isScreen = Deno.stdout.isTerminal() && !json;
  setColorEnabled(isScreen);
  using view = isScreen ? new Screen(sock, stop) : new Lines(json);
  for (;;) {
    try {
      view.show(await listSockets(sock));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      view.fail(error.message);
    }
    const pause = Promise.withResolvers<"next">();
    const timer = setTimeout(() => pause.resolve("next"), interval);
    const next = await Promise.race([pause.promise, end.promise]);
    clearTimeout(timer);
    if (next === "end") return EXIT.ok;
  }
}

/** What terminals understand (xterm's control sequences). */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** A terminal's second screen, after which the first one is as it was. */
class Screen implements Disposable {
  #last: readonly ListedSocket[] = [];
  readonly #onResize = () => this.show(this.#last);

  constructor(readonly sock: string, readonly stop: () => void) {
    print(ENTER);
    Deno.addSignalListener("SIGWINCH", this.#onResize);
    if (Deno.stdin.isTerminal()) void this.#readKeys();
  }

  show(sockets: readonly ListedSocket[]): void {
    this.#last = sockets;
    const troubled = sockets.filter(isInTrouble).length;
    const count = `${sockets.length} socket${sockets.length === 1 ? "" : "s"}`;
    const unserved = sockets.filter(({ state }) => state === "unserved").length;
    this.#draw([
      // The path last: it may be longer than the terminal is wide.
      `${count}, ${troubled > 0 ? red(`${troubled} in trouble`) : "none in trouble"}, ` +
      `${unserved} unserved  ` +
      bold(escapeControls(this.sock)),
      ...troubleLines(sockets),
      "",
      ...socketLines(sockets, Date.now(), sizeOfTerminal().columns),
    ]);
  }

  fail(message: string): void {
    this.#draw([bold(escapeControls(this.sock)), red(escapeControls(message))]);
  }

  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGWINCH", this.#onResize);
    if (Deno.stdin.isTerminal()) Deno.stdin.setRaw(false);
    print(LEAVE);
  }

  #draw(lines: readonly string[]): void {
    const { columns, rows } = sizeOfTerminal();
    const shown = lines.slice(0, rows).map((line) =>
      line.length > columns && stripAnsiCode(line).length > columns
        ? stripAnsiCode(line).slice(0, columns)
        : line
    );
    print(HOME + shown.map((line) => line + CLEAR_LINE).join("\r\n") + CLEAR_BELOW);
  }

  async #readKeys(): Promise<void> {
    Deno.stdin.setRaw(true, { cbreak: true });
    const key = new Uint8Array(16);
    for (;;) {
      const length = await Deno.stdin.read(key).catch(() => null);
      if (length === null) return;
      if (key.subarray(0, length).includes("q".charCodeAt(0))) return this.stop();
    }
  }
}

/** The size of the terminal; the usual one where the terminal does not know, as on a serial line. */
function sizeOfTerminal(): { columns: number; rows: number } {
  const { columns, rows } = Deno.consoleSize();
  return { columns: columns || 80, rows: rows || 24 };
}

/** Lines for a program, a file or a pager: what has changed since the last look. */
class Lines implements Disposable {
  #before = new Map<string, string>();
  #hasBegun = false;

  constructor(readonly json: boolean) {}

  show(sockets: readonly ListedSocket[]): void {
    if (this.json) return printJson(sockets);
    const time = new Date().toISOString();
    const now = new Map(sockets.map((socket) => [socket.address, keyOf(socket)]));
    const changed = sockets.filter(({ address }) => now.get(address) !== this.#before.get(address));
    const gone = [...this.#before.keys()].filter((address) => !now.has(address));
    const [header = "", ...lines] = socketLines(changed);
    if (!this.#hasBegun) print(`${"TIME".padEnd(time.length)}  ${header}\n`);
    this.#hasBegun = true;
    for (const line of lines) print(`${time}  ${line}\n`);
    for (const address of gone) print(`${time}  ${escapeControls(address)} is not held any more\n`);
    this.#before = now;
  }

  fail(message: string): void {
    print(`${new Date().toISOString()}  ${escapeControls(message)}\n`);
  }

  [Symbol.dispose](): void {}
}

/** All of a socket whose change is worth a line, as text; its age is not. */
function keyOf({ state, queue, drops, servedBy, troubles }: ListedSocket): string {
  return JSON.stringify([state, queue, drops, servedBy, troubles]);
}
