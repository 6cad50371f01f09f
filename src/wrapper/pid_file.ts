/** The pid file of a service. */

import { messageOf } from "../errors.ts";
import type { Log } from "../log.ts";
import { insistOnWritable, removeOutputFile, writeOutputFile } from "./output_file.ts";

/** A file that names the process that serves. */
export class PidFile {
  constructor(readonly path: string, readonly log: Log) {}

  /**
   * Makes sure that it can be written, before anything depends on it.
   * @throws {UserError} why it cannot
   */
  insistOnWritable(): void {
    insistOnWritable(this.path, "the pid file");
  }

  /** Writes a pid. A failure is logged: the server serves all the same. */
  write(pid: number): void {
    try {
      writeOutputFile(this.path, `${pid}\n`);
    } catch (error) {
      const { path } = this;
      this.log.error("cannot write the pid file", { path, error: messageOf(error) });
    }
  }

  /** Removes it if it names this process: another wrapper may have written it. */
  remove(pid: number | undefined): void {
    removeOutputFile(this.path, `${pid}\n`);
  }
}
