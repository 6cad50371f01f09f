/**
 * Lines that a server writes to its standard error, where they pass through us: on their way to the journal, to put
 * before each the priority that the journal reads there (sd-daemon(3)) and no server writes; or into our own log, with
 * the generation that has written them.
 * @module
 */

import { POLLIN } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createPipe, readPipe } from "../../ffi/pipe.ts";
import { isReady, type Poller } from "../../ffi/poll.ts";
import { journalPrefix, type Level, type Log } from "../log.ts";
import type { Service } from "../servers/service.ts";
import { writeToStderr } from "../stderr.ts";
import { wordsIn } from "./last_words.ts";

/** Characters after which a line without an end is written as it is. */
const MAX_LINE = 16 * 1024;
/** Reads at the end of a server, at most: a process that it has left behind may go on writing. */
const MAX_READS = 64;

/** Lines that are remembered, since they may be the last ones. */
const REMEMBERED = 32;

/** The buffer of all reads. */
const BUFFER = new Uint8Array(64 * 1024);

/**
 * Makes a pipe for a server's standard error. The server never waits when it writes: a line that finds the pipe full
 * is lost, as the journal drops a line too many.
 */
export function createOutputPipe(): { reader: Fd; writer: Fd } {
  const pipe = createPipe();
  pipe.writer.setNonBlocking();
  return pipe;
}

/** Takes a line, without its end. */
export type WriteLine = (level: Level, line: string) => void;

/** Writes a line for the journal, otherwise as it came. */
export function writeToJournal(level: Level, line: string): void {
  writeToStderr(`${journalPrefix(level)}${line}\n`);
}

/** How a server's lines appear in the log. */
export interface Naming {
  /** What the server is called there. */
  name: string;
  /** Whether that and the generation are fields of their own, for machines. */
  asFields: boolean;
}

/** What writes the lines of one generation into the log. */
export function writerToLog({ name, asFields }: Naming, generation: number, log: Log): WriteLine {
  return (level, line) =>
    asFields
      ? log[level](line, { server: name, generation })
      : log[level](`${name} generation ${generation}: ${line}`);
}

/** Follows one server's standard error until nobody can write to it any more. */
export class ServerOutput {
  readonly #decoder = new TextDecoder();
  readonly #last: string[] = [];
  #rest = "";

  /** @param reader of the pipe; it is closed here */
  constructor(
    readonly reader: Fd,
    readonly poller: Poller,
    readonly levelOf: Service["levelOf"],
    readonly write: WriteLine,
  ) {
    void this.#follow();
  }

  /** Writes what is there, when the server has ended: its last lines come before what we log of its end. */
  drain(): void {
    for (let reads = 0; reads < MAX_READS && !this.reader.closed; reads++) {
      if (!isReady(this.reader, POLLIN)) break;
      this.#read();
    }
    this.flush();
  }

  /** The last lines so far, as the reason for a failure. */
  get words(): string[] {
    this.drain();
    return wordsIn(this.#last, (line) => this.levelOf(line) === "error");
  }

  /** Writes a line that has no end yet. */
  flush(): void {
    if (this.#rest !== "") this.#tell(this.#rest);
    this.#rest = "";
  }

  async #follow(): Promise<void> {
    while (!this.reader.closed && await this.poller.wait(this.reader, POLLIN) !== 0) {
      // Meanwhile it may have been drained.
      if (!this.reader.closed && isReady(this.reader, POLLIN)) this.#read();
    }
  }

  #read(): void {
    const length = readPipe(this.reader, BUFFER);
    if (length === 0) {
      this.flush();
      this.poller.cancel(this.reader);
      return this.reader.close();
    }
    const text = this.#rest + this.#decoder.decode(BUFFER.subarray(0, length), { stream: true });
    const lines = text.split("\n");
    this.#rest = lines.pop() ?? "";
    lines.forEach((line) => this.#tell(line));
    if (this.#rest.length > MAX_LINE) this.flush();
  }

  #tell(line: string): void {
    if (line === "") return;
    this.#last.push(line);
    if (this.#last.length > REMEMBERED) this.#last.shift();
    this.write(this.levelOf(line) ?? "info", line);
  }
}
