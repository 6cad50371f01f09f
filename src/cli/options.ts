/** What the subcommands' command lines have in common. */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { userId } from "../control/accounts.ts";
import { ControlClient, DEFAULT_SOCK } from "../control/client.ts";
import type { Peer } from "../control/peer.ts";
import { EXIT, UserError } from "../errors.ts";
import { createLog, type Format, FORMATS, type Level, LEVELS, type Log } from "../log.ts";

/** Where the control socket is, when `--sock` does not say. An empty variable counts as none. */
export function sockFromEnvironment(): string | undefined {
  return Deno.env.get("MULTIBINDER_SOCK") || undefined;
}

/** The binder's user when no option says it. An empty variable counts as none. */
export function binderUidFromEnvironment(): number | undefined {
  const user = Deno.env.get("MULTIBINDER_BINDER_UID");
  return user ? userId(user) : undefined;
}

/** A subcommand with the options that all have. */
export function createCommand(name: string, description: string): Command {
  return new Command(`multibinder ${name}`)
    .description(description)
    .addOption(
      new Option("--log-format <format>", "of the log on standard error").choices(FORMATS).default(
        "text",
      ),
    )
    .addOption(
      new Option("--log-level <level>", "least important events to log").choices(LEVELS).default(
        "info",
      ),
    )
    .showHelpAfterError("(--help shows the options)")
    .helpOption("-h, --help", "show this help");
}

/**
 * Parses a command line and runs the command's action.
 * @throws {UserError} silent, with the exit code for usage, once commander has said what is wrong
 */
export async function parse(command: Command, args: readonly string[]): Promise<void> {
  command.exitOverride();
  try {
    await command.parseAsync([...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw new UserError("", { exitCode: EXIT.usage });
  }
}

/** The log that the options of {@link createCommand} ask for. */
export function logOf(options: { logFormat: Format; logLevel: Level }): Log {
  return createLog({ format: options.logFormat, level: options.logLevel });
}

/** Adds the control socket that a command talks to. */
export function addSockOption(command: Command): Command {
  return command.option(
    "--sock <path>",
    `the control socket (default: $MULTIBINDER_SOCK, else ${DEFAULT_SOCK})`,
  );
}

/** Makes one request of the peer at the control socket that the options name. @returns its result */
export async function request(
  options: { sock?: string },
  peer: Peer,
  method: string,
  timeout?: number,
  params: unknown = [],
): Promise<unknown> {
  const path = options.sock ?? sockFromEnvironment() ?? DEFAULT_SOCK;
  using client = ControlClient.connect(path, undefined, timeout, peer);
  return await client.call(method, params);
}

/** Prints text to standard output. */
export function print(text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** Reads a whole number. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= 2 ** 31 - 1) return value;
    throw new InvalidArgumentError(`It must be a whole number, at least ${least}.`);
  };
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Reads a duration such as `500ms`, `10s`, `5m`, `1h`; a bare number is seconds. Gives milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const value = Number(match?.[1]) * (UNITS[match?.[2] ?? "s"] ?? 0);
  if (match !== null && value <= 2 ** 31 - 1) return value;
  throw new InvalidArgumentError("It must be a duration such as 500ms, 10s, 5m or 1h.");
}

/** Reads the permission bits of a file, in octal. */
export function fileMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return parseInt(text, 8);
  throw new InvalidArgumentError("It must be permission bits in octal, such as 0660.");
}

/** Collects an option that may be given several times. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
