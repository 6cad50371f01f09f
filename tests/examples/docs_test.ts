/**
 * What the pages of docs/ say to type works, and each page says whom it is for. Commands are the blocks marked
 * as `sh`. One that cannot be typed here has a comment before it that says why, and counts as skipped.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { blocksOf, commandsOf, exists, pages, read } from "../support/page.ts";
import { tempDir } from "../support/temp_dir.ts";
import { hasProgram, ignoreUnless } from "../support/users.ts";
import { END, SCENES, SHELL } from "./scenes.ts";

/** Pages whose commands another test types; it must name the page. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "README.md": "tests/examples/readme_test.ts",
  "docs/start.md": "tests/systemd/start_page.ts",
  "docs/systemd.md": "tests/systemd/units_test.ts",
  "examples/docker/README.md": "tests/container/readme.ts",
};

Deno.test("each page with commands has a test that types them", () => {
  const accounted = [...Object.keys(SCENES), ...Object.keys(ELSEWHERE)];
  const withCommands = pages().filter((path) => commandsOf(path).length > 0);
  assertEquals(withCommands.toSorted(), accounted.toSorted());
  for (const [page, test] of Object.entries(ELSEWHERE)) {
    const name = page.endsWith("README.md") ? "README.md" : page;
    assert(read(test).includes(name), `${test} types ${page}`);
  }
});

Deno.test("each block says what it is, and none but those of commands has commands", () => {
  const isCommand = /^(sudo |\$ )?(\.\/scripts|multibinder|apt|systemctl|docker|kubectl|curl)\b/m;
  for (const path of pages()) {
    for (const { line, language, text } of blocksOf(path)) {
      assertMatch(language, /^\w+( ignore)?$/, `${path}:${line}`);
      assert(language === "sh" || !isCommand.test(text), `${path}:${line} has commands`);
    }
  }
});

Deno.test("each page of docs/ opens with whom it is for", () => {
  for (const path of pages().filter((one) => one.startsWith("docs/"))) {
    assertMatch(read(path), /^# .*\n\n_For whoever [^_]+_\n/, path);
  }
});

/** After how many seconds the commands of a page count as hanging. */
const LIMIT = "120";

/** How a link names a heading. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-");
}

Deno.test("each link, and each path of a file of ours, leads somewhere; to each page of docs/ one does", () => {
  const found = new Set<string>();
  for (const page of [...pages(), "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]) {
    const text = read(page);
    const folder = page.replace(/[^/]*$/, "");
    for (const [, link = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (link.startsWith("https:")) continue;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : `${folder}${path}`;
      assert(exists(target), `${page} leads to ${link}`);
      if (target !== page) found.add(target);
      if (anchor === undefined) continue;
      const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);
      assert(headings.map(anchorOf).includes(anchor), `${page} leads to ${link}`);
    }
    // That one is about the source of HAProxy.
    if (page === "docs/haproxy-drain-upstream.md") continue;
    const paths =
      /(?<![\w/.~-])(?:\.\/)?((?:src|ffi|tests|scripts|docs|examples|packaging)\/[\w./@-]*\w)/g;
    for (const [, path = ""] of text.matchAll(paths)) {
      assert(exists(path) || exists(`${path}_test.ts`), `${page}: ${path}`);
    }
  }
  assertEquals(pages().filter((page) => page.startsWith("docs/") && !found.has(page)), []);
});

Deno.test("each test that docs/reliability.md names is there", () => {
  const cells = [...read("docs/reliability.md").matchAll(/\| `([\w/]+)`: ([^|]*) \|$/gm)];
  assert(cells.length > 30);
  for (const [, name = "", titles = ""] of cells) {
    const path = `${name.startsWith("src/") ? "" : "tests/"}${name}_test.ts`;
    assert(exists(path), path);
    for (const title of titles.trim().split("; ")) {
      assert(read(path).includes(title), `${path}: ${title}`);
    }
  }
});

for (const [page, { before, after = "", needs = [] }] of Object.entries(SCENES)) {
  const missing = needs.filter((one) => !hasProgram(one));
  Deno.test({
    name: `the commands of ${page}, typed in their order`,
    ignore: ignoreUnless(Deno.uid() === 0, "namespaces of its own need root") ||
      ignoreUnless(missing.length === 0, `${page}: there is no ${missing.join(", no ")}`),
    async fn() {
      using folder = tempDir();
      const script = folder.file("script");
      const blocks = commandsOf(page);
      assert(blocks.length > 0);
      Deno.writeTextFileSync(script, [SHELL, before, ...blocks, after, END].join("\n"));
      const apart = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
      const shell = `script=$1; shift; exec bash -c "$(cat "$script")" "$0"`;
      const args = [LIMIT, "unshare", ...apart, "bash", "-c", shell, multibinder(), script];
      const run = await new Deno.Command("timeout", { args }).output();
      const said = [run.stdout, run.stderr].map((bytes) => new TextDecoder().decode(bytes));
      assertEquals(run.code, 0, said.join("\n"));
    },
  });
}

for (const page of pages()) {
  for (const { line, whyNotTyped } of blocksOf(page)) {
    if (whyNotTyped === undefined) continue;
    const name = `the commands at ${page}:${line} are not typed: ${whyNotTyped}`;
    Deno.test({ name: name.replace(/\s+/g, " "), ignore: true, fn() {} });
  }
}
