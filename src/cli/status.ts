/** `multibinder status`: what a binder or a wrapper holds and does. */

import { PEERS } from "../control/peer.ts";
import { EXIT } from "../errors.ts";
import { addSockOption, createCommand, parse, print, request } from "./options.ts";

const HELP = `
A wrapper answers at the control socket given by its --control. With --json the answer is
printed as it came: members are added over time, never renamed.
`;

/** Runs the subcommand. @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  const command = addSockOption(createCommand("status", "Show what a binder or a wrapper does."))
    .option("--json", "as JSON")
    .addHelpText("after", HELP)
    .action(async (options) => {
      const status = await request(options, PEERS.either, "status");
      print(options.json ? `${JSON.stringify(status, null, 2)}\n` : describe("", status));
    });
  await parse(command, args);
  return EXIT.ok;
}

/** One line a value: members of lists and objects are indented below their name. */
function describe(indent: string, value: unknown): string {
  if (!isObject(value)) return `${indent}${value}\n`;
  return Object.entries(value).map(([name, member]) => {
    const label = `${indent}${name}:`;
    if (Array.isArray(member)) {
      const rows = member.map((row) => `${indent}  ${inline(row)}\n`).join("");
      return member.length === 0 ? `${label} none\n` : `${label}\n${rows}`;
    }
    return `${label} ${inline(member)}\n`;
  }).join("");
}

function inline(value: unknown): string {
  if (value === null) return "none";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(inline).join(",");
  if (!isObject(value)) return String(value);
  return Object.entries(value).map(([name, member]) =>
    isObject(member) ? `${name} (${inline(member)})` : `${name} ${inline(member)}`
  ).join("  ");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
