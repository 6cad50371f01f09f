/** The entry of the compiled program, and the only place that exits. */

import { VERSION } from "./version.ts";

try {
  // The version is asked for often, and each module takes time to load: it is printed before any is loaded.
  if (["-V", "--version", "version"].includes(Deno.args[0] ?? "")) {
    Deno.stdout.writeSync(new TextEncoder().encode(`multibinder ${VERSION}\n`));
    Deno.exit(0);
  }
  // Before all other modules: it catches signals.
  await import("./process/start.ts");
  const { runProgram } = await import("./cli/program.ts");
  Deno.exit(await runProgram(Deno.args));
} catch (error) {
  // Whoever read our output has stopped reading, as `head` does.
  if (error instanceof Deno.errors.BrokenPipe) Deno.exit(1);
  const { report } = await import("./cli/report.ts");
  Deno.exit(report(error));
}
