/** Every man page, as it is packaged: to the taste of those who read them, and with no option that is not there. */

import { assert, assertEquals } from "@std/assert";
import { allCommands } from "../../src/cli/commands.ts";
import { SERVERS } from "../../src/servers/servers.ts";
import { COMMON_OPTIONS } from "../../src/cli/subcommand.ts";

const SCRIPT = new URL("pages.sh", import.meta.url).pathname;

function optionsIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w-])--([a-z][\w-]*)/gi)].map(([, one = ""]) => one);
}

async function run(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const said = new TextDecoder();
  const text = `${said.decode(stdout)}${said.decode(stderr)}`;
  assert(success, `${program} ${args.join(" ")}: ${text}`);
  return text;
}

Deno.test("man pages are sound, are found by apropos, and name no option that is not there", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    await run("env", `DENO=${Deno.execPath()}`, "MULTIBINDER_TOOLCHAIN=this", SCRIPT, folder);
    const commands = await allCommands();
    const names = [
      ...commands.map(({ name }) => `multibinder-${name}.1`),
      ...["multibinder.1", "multibinder-templates.5", "multibinder-protocol.7"],
    ];
    assertEquals(
      [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted(),
      names.toSorted(),
    );
    // Commands that run a server have options of that one.
    const ofServers = SERVERS.flatMap(({ example }) => optionsIn(example));
    const known = new Set(
      Object.keys(COMMON_OPTIONS).concat(
        ...commands.map(({ options }) => Object.keys(options)),
        ...[ofServers, "version"],
      ),
    );
    for (const name of names) {
      const path = `${folder}/${name}`;
      // Warnings and errors; what is left is the length of source lines.
      assertEquals(await run("mandoc", "-Tlint", "-Wwarning", path), "", name);
      const [page = ""] = name.split(".");
      assert((await run("lexgrog", path)).includes(`"${page} - `), name);
      const text = await run("man", "--local-file", "--warnings", "--pager=cat", path);
      for (const heading of ["NAME", "DESCRIPTION"]) assert(text.includes(`${heading}\n`), name);
      if (!name.endsWith(".1")) continue;
      const source = Deno.readTextFileSync(path).replaceAll("\\-", "-");
      assertEquals(optionsIn(source).filter((one) => !known.has(one)), [], name);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
