/** Preparing and starting generations of a service. */

import type { Fd } from "../../ffi/fd.ts";
import type { Poller } from "../../ffi/poll.ts";
import { EXIT, UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Children } from "../process/children.ts";
import { marksFor } from "../process/marks.ts";
import { hidden } from "../servers/check.ts";
import { Launch } from "../servers/launch.ts";
import type { Service, Started } from "../servers/service.ts";
import { environmentWith } from "./environment_file.ts";
import { hidingLog } from "../templates/secrets.ts";
import {
  hiderFor,
  passedOver,
  renderFiles,
  targetsOf,
  type Template,
  writeFiles,
} from "./config_files.ts";
import type { WrapperOptions } from "./options.ts";
import type { Preparation } from "./preparation.ts";
import type { Sockets } from "./sockets.ts";

/** Prepares and starts the generations of one service. */
export class Launcher {
  constructor(
    readonly service: Service,
    readonly templates: readonly Template[],
    readonly options: Pick<WrapperOptions, "envFiles" | "limits" | "listen">,
    readonly sockets: Sockets,
    readonly children: Children,
    readonly poller: Poller,
    readonly log: Log,
  ) {}

  /**
   * Makes sure that the server gets sockets: by a template, or named on the command line. Warns where it may bind them
   * itself, and of templates that are not rendered.
   * @throws {UserError} when it would get none
   */
  insistOnSockets(): void {
    const { server, configs } = this.service;
    if (this.templates.length === 0 && this.options.listen.length === 0) {
      if (server.isAdjustable) {
        throw new UserError(
          "no socket for the server: name one, as in " +
            `\`multibinder exec --listen http=:80 -- ${server.example}\``,
          { exitCode: EXIT.usage },
        );
      }
      this.log.warn(
        "no config here is a template, and no --listen: its sockets are not kept across reloads",
      );
    }
    for (const template of passedOver(configs)) {
      this.log.warn("a template in a folder is not rendered: name it with its own -f", {
        template,
      });
    }
  }

  /**
   * Renders the templates, gets their sockets, writes the files and has the config checked.
   * @throws {UserError} what is wrong; {@link RefusedConfig} when the server said it
   */
  async prepare(): Promise<Preparation> {
    const { socketNames } = this.service.server;
    const { envFiles, limits, listen } = this.options;
    const env = environmentWith(envFiles);
    const rendered = renderFiles(this.templates, env, socketNames, listen);
    const sockets = await this.sockets.prepare(rendered.sockets);
    writeFiles(rendered.files);
    const hide = hiderFor(this.service.configs, env);
    const preparation = { sockets, env, hide };
    try {
      const begun = await this.service.check(this.#launch(preparation), limits.ready);
      return { ...preparation, ...(begun && { begun }) };
    } catch (error) {
      throw hidden(error, hide);
    }
  }

  /** The log, which hides what configs take from the environment as it is now. */
  hiddenLog(): Log {
    let env: Readonly<Record<string, string>>;
    try {
      env = environmentWith(this.options.envFiles);
    } catch {
      env = Deno.env.toObject(); // Whatever needs the file will say so.
    }
    return hidingLog(this.log, hiderFor(this.service.configs, env));
  }

  /**
   * Starts a generation with what was prepared.
   * @param number the generation's
   * @param stderr its standard error; ours when absent
   * @throws {UserError} when the program cannot be run
   */
  start(preparation: Preparation, number: number, stderr?: Fd): Started {
    const marks = marksFor(this.service.identity, number, preparation.sockets.length);
    return this.service.start(this.#launch(preparation, marks, stderr), preparation.begun);
  }

  #launch(
    { sockets, env, hide }: Preparation,
    marks?: Record<string, string>,
    stderr?: Fd,
  ): Launch {
    const { children, poller, options: { listen: named } } = this;
    const log = hidingLog(this.log, hide);
    const files = targetsOf(this.templates);
    return new Launch({ children, poller, log, files, env, sockets, named, marks, stderr });
  }
}
