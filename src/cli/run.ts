/** Runs a subcommand with its command line. */

import { EXIT } from "../errors.ts";
import { parseCommandLine } from "./command_line.ts";
import type { Subcommand } from "./subcommand.ts";
import { print } from "./output.ts";

/**
 * Runs it, or shows its help.
 * @param args the words after its name
 * @returns the exit code
 * @throws {UserError} when the command line is wrong, with the exit code for usage; or as the command does
 */
export async function runSubcommand(
  subcommand: Subcommand,
  args: readonly string[],
): Promise<number> {
  const line = await parseCommandLine(subcommand, args);
  if (typeof line === "object") return await subcommand.run(line);
  const { summary } = await import("./help.ts");
  print(summary(subcommand));
  return EXIT.ok;
}
