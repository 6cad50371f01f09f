/**
 * Lines that a server writes to its standard error, as the journal is to get them: each with its priority,
 * which the journal takes from the beginning of a line (sd-daemon(3)), and which no server writes there itself.
 * @module
 */

import { POLLIN } from "../../ffi/constants.ts";
import type { Fd } from "../../ffi/fd.ts";
import { createPipe, readPipe } from "../../ffi/pipe.ts";
import { isReady, type Poller } from "../../ffi/poll.ts";
import { journalPrefix } from "../log.ts";
import type { Service } from "../servers/service.ts";
import { writeToStderr } from "../stderr.ts";

/** Characters of a line that has no end yet, after which it is written as it is. */
const MAX_LINE = 16 * 1024;
/** Reads at the end of a server: what it has left behind may go on writing. */
const MAX_READS = 64;

/** Where all read to: nothing of it is kept. */
const BUFFER = new Uint8Array(64 * 1024);

/**
 * Makes a pipe for a server's standard error. Its end never makes a server wait: a line that finds the pipe
 * full, or nobody there to read, is lost, as the journal would have it with a line too many.
 */
export function createOutputPipe(): { reader: Fd; writer: Fd } {
  const pipe = createPipe();
  pipe.writer.setNonBlocking();
  return pipe;
}

/** Follows one server's standard error until nobody can write to it any more. */
export class ServerOutput {
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** @param reader of the pipe; it is closed here */
  constructor(
    readonly reader: Fd,
    readonly poller: Poller,
    readonly levelOf: Service["levelOf"],
    readonly write: (line: string) => void = writeToStderr,
  ) {
    void this.#follow();
  }

  /** Writes what is there, when the server has ended: its last words come before ours about it. */
  drain(): void {
    for (let reads = 0; reads < MAX_READS && !this.reader.closed; reads++) {
      if (!isReady(this.reader, POLLIN)) break;
      this.#read();
    }
    this.flush();
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
    if (line !== "") this.write(`${journalPrefix(this.levelOf(line) ?? "info")}${line}\n`);
  }
}
