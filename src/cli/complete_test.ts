import { assert, assertEquals } from "@std/assert";
import { complete, type Completion } from "./complete.ts";
import { DEFAULT_SOCK } from "../control/client.ts";
import { COMMANDS } from "./commands.ts";

const HELD = ["0.0.0.0:80", "0.0.0.0:81", "unix:/run/site.sock"];

/** Completes the last word of a line; the words are apart by one space. */
function completion(line: string): Promise<Completion> {
  const asked = (sock: string) => Promise.resolve(sock === "/x.sock" ? HELD : []);
  return complete(line.split(" "), COMMANDS, asked);
}

async function words(line: string): Promise<string[]> {
  const { kind, words } = await completion(line);
  assertEquals(kind, "words", line);
  return words.map(([word]) => word);
}

Deno.test("the first word becomes a command, none of the hidden ones among them", async () => {
  assertEquals(await words(""), [...COMMANDS.keys(), "help", "--version"]);
  assertEquals(await words("healthc"), ["healthcheck"]);
  assertEquals(await words("help "), [...COMMANDS.keys()]);
  for (const line of ["latch", "nothing", "nothing ", "latch --", "help bind "]) {
    assertEquals(await words(line), [], line);
  }
});

Deno.test("options become what the command has, once unless they may be repeated", async () => {
  const all = await words("bind -");
  assert(all.includes("--allow") && all.includes("--log-level") && !all.includes("--drain"));
  assertEquals(await words("bind --mod"), ["--mode"]);
  for (const given of ["--mode 0600", "--mode=0600"]) {
    assertEquals(await words(`bind ${given} --mod`), [], given);
  }
  assertEquals(await words("bind --backlog 5 --backl"), []);
  assertEquals(await words("bind --allow *:80 --allow-g"), ["--allow-gid"]);
  assert((await words("bind --allow *:80 --all")).includes("--allow"));
});

Deno.test("values become what there is, by their kind", async () => {
  assertEquals(await words("bind --log-level "), ["debug", "info", "warn", "error"]);
  assertEquals(await words("bind --log-format=j"), ["--log-format=json"]);
  assertEquals(await words("bind --user roo"), ["root"]);
  assertEquals(await words("bind --group=roo"), ["--group=root"]);
  assertEquals(await words("bind --backlog "), []);
  assertEquals((await completion("bind --sock /ru")).kind, "files");
  assertEquals((await completion("bind --sock=/ru")).kind, "files");
  assertEquals((await completion("exec --render-dir ")).kind, "folders");
  assertEquals((await completion("render si")).kind, "files");
  assertEquals(await words("completions "), ["bash", "zsh", "fish"]);
});

Deno.test("addresses become what the binder holds that the other options name", async () => {
  for (const sock of ["--sock /x.sock", "--sock=/x.sock"]) {
    assertEquals(await words(`unbind ${sock} `), HELD);
    assertEquals(await words(`unbind ${sock} 0.0.0.0:80 0`), ["0.0.0.0:81"]);
    assertEquals(await words(`unbind ${sock} -- u`), ["unix:/run/site.sock"]);
  }
  assertEquals(await words("unbind --sock /other.sock "), []);
  assertEquals(await words("bind --sock /x.sock "), []);
});

Deno.test("an empty MULTIBINDER_SOCK names no binder, as for the command itself", async () => {
  const before = Deno.env.get("MULTIBINDER_SOCK");
  try {
    for (const [value, expected] of [["", DEFAULT_SOCK], ["/y.sock", "/y.sock"]] as const) {
      Deno.env.set("MULTIBINDER_SOCK", value);
      const asked: string[] = [];
      await complete(
        ["unbind", ""],
        COMMANDS,
        (sock) => Promise.resolve([String(asked.push(sock))]),
      );
      assertEquals(asked, [expected]);
    }
  } finally {
    if (before === undefined) Deno.env.delete("MULTIBINDER_SOCK");
    else Deno.env.set("MULTIBINDER_SOCK", before);
  }
});

Deno.test("another program's command is left to the shell, from its first word on", async () => {
  const commands = { "exec -- ": 3, "exec --strict -- hap": 4, "exec hap": 2, "exec hap -f ": 2 };
  for (const [line, at] of Object.entries(commands)) {
    assertEquals((await completion(line)).kind, `command ${at}`, line);
  }
  assertEquals((await completion("exec --drain=5m -- haproxy --log-le")).kind, "command 4");
  assertEquals(await words("exec "), ["--"]);
});
