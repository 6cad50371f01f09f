/** Preparing and starting generations of a service. */

import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import type { Log } from "../log.ts";
import type { Children } from "../process/children.ts";
import { Launch } from "../servers/launch.ts";
import type { NamedSocket } from "../servers/named_sockets.ts";
import type { Service, Started } from "../servers/service.ts";
import { renderFiles, targetsOf, type Template, writeFiles } from "./config_files.ts";
import { marksOf } from "./orphans.ts";
import type { Sockets } from "./sockets.ts";

/** What was prepared for a generation, whose config has passed its check. */
export interface Preparation {
  /** Its listening sockets, which stay those of {@link Sockets}: its descriptors from 3 on. */
  readonly sockets: readonly Fd[];
}

/** Prepares and starts the generations of one service. */
export class Launcher {
  constructor(
    readonly service: Service,
    readonly templates: readonly Template[],
    readonly sockets: Sockets,
    readonly children: Children,
    /** Milliseconds that the check of a config may take. */
    readonly checkTimeout: number,
    /** Sockets that the command line names. */
    readonly named: readonly NamedSocket[],
    readonly poller: Poller,
    readonly log: Log,
  ) {}

  /**
   * Renders the templates, gets their sockets, writes the files and has the config checked.
   * @throws {UserError} what is wrong; {@link RefusedConfig} when the server said it
   */
  async prepare(): Promise<Preparation> {
    const { socketNames } = this.service.server;
    const rendered = renderFiles(this.templates, Deno.env.toObject(), socketNames, this.named);
    const sockets = await this.sockets.prepare(rendered.sockets);
    writeFiles(rendered.files);
    await this.service.check(this.#launch(sockets), this.checkTimeout);
    return { sockets };
  }

  /**
   * Starts a generation with what was prepared.
   * @param number the generation's
   * @throws {UserError} when the program cannot be run
   */
  start({ sockets }: Preparation, number: number): Started {
    const marks = marksOf(this.service.identity, number, sockets.length);
    return this.service.start(this.#launch(sockets, marks));
  }

  #launch(sockets: readonly Fd[], marks?: Record<string, string>): Launch {
    const { children, poller, log, named } = this;
    const files = targetsOf(this.templates);
    return new Launch({ children, poller, log, files, sockets, named, marks });
  }
}
