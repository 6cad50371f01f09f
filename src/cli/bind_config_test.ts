import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import "../../tests/support/libc.ts";
import { UserError } from "../errors.ts";
import { readConfig, withPlace } from "./bind_config.ts";
import type { Options } from "./option.ts";

const OPTIONS: Options = {
  "mode": { placeholder: "BITS", about: "bits" },
  "backlog": { placeholder: "N", about: "a number" },
  "allow": { placeholder: "PATTERN", about: "patterns", repeatable: true },
  "loud": { about: "shout" },
  "config": { placeholder: "FILE", about: "the file" },
};

async function withFile<T>(text: string, action: (path: string) => Promise<T>): Promise<T> {
  const path = Deno.makeTempFileSync({ suffix: ".toml" });
  try {
    Deno.writeTextFileSync(path, text);
    return await action(path);
  } finally {
    Deno.removeSync(path);
  }
}

async function refused(text: string, line: number, why: RegExp): Promise<void> {
  await withFile(text, async (path) => {
    const error = await assertRejects(() => readConfig(path, OPTIONS), UserError);
    const place = `${path}:${line}: `;
    assertEquals([error.message.startsWith(place), error.exitCode], [true, 2], error.message);
    assertMatch(error.message.slice(place.length), why);
  });
}

Deno.test("each value has its place, in lists over several lines too", async () => {
  const text = `# a comment
addresses = [
  ":80", # the site
  '[::]:80',
]
mode = "0660"
loud = true
backlog = 4096
allow = "*:443"
`;
  await withFile(text, async (path) => {
    const { addresses, settings } = await readConfig(path, OPTIONS);
    assertEquals(addresses, [
      { text: ":80", at: `${path}:3` },
      { text: "[::]:80", at: `${path}:4` },
    ]);
    assertEquals(Object.fromEntries(settings), {
      mode: [{ text: "0660", at: `${path}:6` }],
      loud: [{ text: "true", at: `${path}:7` }],
      backlog: [{ text: "4096", at: `${path}:8` }],
      allow: [{ text: "*:443", at: `${path}:9` }],
    });
  });
});

Deno.test("what is no setting is refused, with its line and what may have been meant", async () => {
  await refused('\nmoed = "0660"', 2, /^moed is no setting; did you mean mode\?$/);
  await refused('adresses = [":80"]', 1, /did you mean addresses\?/);
  await refused("\n\n[frobnicate]\nx = 1", 3, /^frobnicate is no setting; multibinder help bind/);
  await refused('config = "x"', 1, /^config is no setting/);
  await refused("mode = 660", 1, /^mode must be a text in quotes/);
  await refused("mode = 0o660", 1, /^mode must be a text in quotes/);
  await refused('mode = ["0660"]', 1, /^mode takes one value, not a list/);
  await refused('x = ""', 1, /^x is no setting/);
  await refused('backlog = "many"\nallow = [1]', 2, /^allow must be a text in quotes/);
  await refused('loud = "yes"', 1, /^loud must be true or false/);
  await refused("\n\nmode =\n", 3, /^Invalid TOML document: invalid value$/);
  await refused('mode = "1"\nmode = "2"\n', 2, /^Invalid TOML document: trying to redefine/);
});

Deno.test("an error that quotes a value of the file names its place", async () => {
  await withFile('allow = [\n"*:1",\n"*:x"]', async (path) => {
    const config = await readConfig(path, OPTIONS);
    const error = withPlace(new UserError('malformed pattern "*:x": no'), config);
    assertEquals((error as Error).message, `${path}:3: malformed pattern "*:x": no`);
    const other = new UserError('no user "x"');
    assertEquals(withPlace(other, config), other);
  });
});
