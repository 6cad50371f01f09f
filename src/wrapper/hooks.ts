/**
 * Commands that the user has run around a reload. The one before it can refuse the reload, or prepare what the reload
 * needs; the one after it learns how the reload went. The first start of a server is no reload.
 * @module
 */

import { SystemError } from "../../ffi/errno.ts";
import { describeDuration } from "../duration.ts";
import { UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Children } from "../process/children.ts";
import { outputOf } from "../process/output_of.ts";
import { exitCodeOf } from "../servers/launch.ts";
import { withoutServiceVariables } from "../systemd/environment.ts";

/** The commands, for the shell. */
export interface HookCommands {
  before?: string | undefined;
  after?: string | undefined;
}

/** How a reload went. */
export interface ReloadEnd {
  ok: boolean;
  /** What `multibinder reload` prints. */
  message: string;
  /** The generation that serves, and its process. */
  generation: number;
  pid: number;
}

/** See the module's description. */
export class Hooks {
  #underWay = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** @param timeout milliseconds after which a command is killed */
  constructor(
    readonly commands: HookCommands,
    readonly timeout: number,
    readonly children: Children,
    readonly log: Log,
  ) {}

  /** Settles when the commands under way have ended; undefined when none is. */
  get underWay(): Promise<unknown> | undefined {
    return this.#underWay > 0 ? this.#last : undefined;
  }

  /** Runs the command before a reload. @throws {UserError} when it fails, and refuses the reload */
  async before(): Promise<void> {
    const { before } = this.commands;
    if (before === undefined) return;
    const why = await this.#run("--before-reload", before, {});
    if (why !== undefined) throw new UserError(`--before-reload refused the reload: ${why}`);
  }

  /** Runs the command after a reload, once those before it have ended. */
  after({ ok, message, generation, pid }: ReloadEnd): void {
    const { after } = this.commands;
    if (after === undefined) return;
    void this.#run("--after-reload", after, {
      RELOAD_OUTCOME: ok ? "success" : "failure",
      // A message that quotes a server or a template may hold a NUL, which no variable can.
      RELOAD_MESSAGE: message.replaceAll("\0", "\uFFFD"),
      RELOAD_GENERATION: String(generation),
      RELOAD_PID: String(pid),
    }).then((why) => {
      if (why !== undefined) this.log.error("--after-reload failed", { why });
    });
  }

  /** @returns why it failed */
  #run(
    name: string,
    command: string,
    variables: Readonly<Record<string, string>>,
  ): Promise<string | undefined> {
    this.#underWay++;
    const end = this.#last.then(() => this.#perform(name, command, variables))
      .finally(() => this.#underWay--);
    this.#last = end;
    return end;
  }

  async #perform(
    name: string,
    command: string,
    variables: Readonly<Record<string, string>>,
  ): Promise<string | undefined> {
    const env = { ...withoutServiceVariables(Deno.env.toObject()), ...variables };
    const argv = ["/bin/sh", "-c", command] as const;
    try {
      const { status, text, isLate } = await outputOf(
        (outputs) => this.children.start({ argv, env, ...outputs }),
        this.timeout,
      );
      const lines = text.split("\n").filter((line) => line.trim() !== "");
      for (const line of lines) this.log.info(`${name}: ${line}`);
      if (isLate) {
        return `it did not end within ${describeDuration(this.timeout)} (--ready-timeout)`;
      }
      const code = exitCodeOf(status);
      return code === 0
        ? undefined
        : `exit code ${code}${lines.length > 0 ? `, ${lines.at(-1)}` : ""}`;
    } catch (error) {
      if (error instanceof SystemError) return error.message;
      throw error;
    }
  }
}
