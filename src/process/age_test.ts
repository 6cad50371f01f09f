import { assert, assertEquals } from "@std/assert";
import { startProgram } from "../../tests/support/program.ts";
import { tempDir } from "../../tests/support/temp_dir.ts";
import { ageOf } from "./age.ts";

Deno.test("a process has run for as long as ps says, whatever it is called", async () => {
  const { stdout } = new Deno.Command("ps", { args: ["-o", "etimes=", "-p", String(Deno.ppid)] })
    .outputSync();
  const seconds = Number(new TextDecoder().decode(stdout));
  assert(Math.abs((ageOf(Deno.ppid) ?? -1) - seconds) <= 2);
  using folder = tempDir();
  const name = folder.file("a) 1 2");
  Deno.copyFileSync("/bin/sleep", name);
  await using odd = startProgram([name, "1000"]);
  assert((ageOf(odd.pid) ?? -1) < 60);
});

Deno.test("of one that is not there nothing is told", () => {
  assertEquals(ageOf(2 ** 30), null);
});
