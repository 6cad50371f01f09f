/**
 * Makes every system call of a binder fail in turn, and writes what came of it to docs/faults.md.
 * scripts/faults.sh runs it.
 */
// deno-lint-ignore-file no-console -- a script speaks to the terminal
import { FAULTS, FaultyBinder, type Finding } from "../../tests/support/faults.ts";

/** Rows that differ in errno alone become one. */
function rows(findings: readonly Finding[]): string[] {
  const groups = Map.groupBy(findings, ({ fault, client, others, recovered, leaked }) =>
    [
      fault.deed,
      `${fault.call}${fault.nth > 1 ? ` (${fault.nth})` : ""}`,
      client,
      others ? "yes" : "**no**",
      recovered ? "yes" : "**no**",
      leaked === 0 ? "none" : `**${leaked}**`,
    ].join(" | "));
  return [...groups].map(([key, group]) => {
    const [deed, call, ...rest] = key.split(" | ");
    const errnos = group.map(({ fault }) => fault.errno).join(", ");
    return `| ${[deed, call, errnos, ...rest].join(" | ")} |`;
  });
}

const findings: Finding[] = [];
let unreached = 0;
{
  await using binder = new FaultyBinder();
  for (const fault of FAULTS) {
    const finding = await binder.inject(fault);
    if (finding) findings.push(finding);
    else unreached++;
    const { deed, call, nth, errno } = fault;
    console.error(`${deed}: ${call} (${nth}) ${errno}: ${finding?.client ?? "not called"}`);
  }
}
const calls = new Set(findings.map(({ fault }) => fault.call)).size;
const unharmed = findings.filter(({ client }) => client === "served").length;
const harmed = findings.length - unharmed;
const bad = findings.filter(({ others, recovered, leaked }) => !others || !recovered || leaked > 0);
const page = `# Failing system calls

_For whoever wonders what a failing system call does to the binder._

Written by \`scripts/faults.sh\`; do not edit.

strace makes one system call of a running binder fail (\`-e inject=CALL:error=ERRNO:when=N\`) while a
client wants something from it and another one, connected before, asks for its status. ${findings.length}
faults in ${calls} calls: ${unharmed} times the client noticed nothing, ${harmed} times it was told or lost its
connection; ${bad.length} times something else went wrong, in bold. A number after a call says which one of that
name failed. In the columns: what the client saw, whether the other
one was served at the same time, whether a new client succeeds at the same thing right after, and descriptors
left open.

Out of descriptors (EMFILE in accept4), the client that is silent for longest is closed to make room for the
next: here that is the other one. Who is refused a \`getsockopt\` about itself is nobody that is known, and is
closed.

| the client wants | call | errno | the client sees | others served | works again | left open |
| --- | --- | --- | --- | --- | --- | --- |
${rows(findings).join("\n")}
`;
Deno.writeTextFileSync(new URL("../../docs/faults.md", import.meta.url), page);
console.log(`${findings.length} faults, ${bad.length} with a consequence, ${unreached} not called`);
