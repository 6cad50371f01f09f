/**
 * The commands of the release workflow, as far as they need neither GitHub nor minutes. What they call, the unit
 * tests and scripts/package.sh, runs in other tests, and scripts/check/workflows.sh checks the rest of the file.
 */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { parse } from "yaml";
import { VERSION } from "../../src/version.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

const { jobs }: {
  jobs: Record<string, { steps: { name?: string; run?: string }[] }>;
} = parse(Deno.readTextFileSync(`${ROOT}.github/workflows/release.yml`));

/** The commands of a job's steps. */
function commandsIn(job: string): string[] {
  return jobs[job]?.steps.flatMap(({ run }) => run ?? []) ?? [];
}

/** Runs commands as GitHub does. */
async function run(commands: string, cwd: string, env: Record<string, string>) {
  return await runProgram(["bash", "-e", "-c", commands], { cwd, env });
}

Deno.test("a tag that is not the version is no release", async () => {
  const [check = "", ...others] = commandsIn("package");
  assertMatch(check, /GITHUB_REF_NAME/);
  for (const script of others) {
    const [, path = ""] = /(\.\/scripts\/\w+\.sh)/.exec(script) ?? [];
    assert(Deno.statSync(`${ROOT}${path}`).isFile, script);
  }
  const tag = async (name: string) => (await run(check, ROOT, { GITHUB_REF_NAME: name })).code;
  assertEquals([await tag(`v${VERSION}`), await tag("v0.0.9"), await tag(VERSION)], [0, 1, 1]);
});

Deno.test("a release has the packages of both architectures, one list of digests, and the changes", async () => {
  const [release = "", ...others] = commandsIn("release");
  assertEquals(others, []);
  using folder = tempDir();
  Deno.mkdirSync(folder.file("packages"));
  Deno.mkdirSync(folder.file("bin"));
  const names = ["amd64", "arm64"].flatMap((arch) => [
    `multibinder_${VERSION}-1_${arch}.deb`,
    `multibinder-${VERSION}-linux-${arch}.tar.gz`,
  ]);
  for (const name of names) Deno.writeTextFileSync(folder.file(`packages/${name}`), name);
  Deno.copyFileSync(`${ROOT}CHANGELOG.md`, folder.file("CHANGELOG.md"));
  // GitHub's program, which would make the release: its words, one a line.
  const gh = `#!/bin/sh\nprintf '%s\\n' "$@"\n`;
  Deno.writeTextFileSync(folder.file("bin/gh"), gh, { mode: 0o755 });
  const PATH = `${folder.file("bin")}:${Deno.env.get("PATH")}`;
  const { code, stdout, stderr } = await run(release, folder.path, {
    GITHUB_REF_NAME: `v${VERSION}`,
    PATH,
  });
  assertStrictEquals(code, 0, stderr);
  const words = stdout.trim().split("\n");
  assertEquals(words.slice(0, 5), [
    ...["release", "create", `v${VERSION}`, "--title", `multibinder ${VERSION}`],
  ]);
  const files = words.slice(7);
  assertEquals(files, ["SHA256SUMS", ...names].map((name) => `packages/${name}`).toSorted());
  const sums = ["sha256sum", "--check", "--strict", "SHA256SUMS"] as const;
  const checked = await runProgram(sums, { cwd: folder.file("packages") });
  assertEquals(checked.stdout.trim().split("\n"), names.map((name) => `${name}: OK`).toSorted());

  const notes = Deno.readTextFileSync(folder.file("notes.md")).trim();
  const [, own = ""] = Deno.readTextFileSync(`${ROOT}CHANGELOG.md`).split(`## [${VERSION}]`);
  assert(notes.length > 0);
  assertStrictEquals(notes, own.split("\n## [")[0]?.replace(/^.*\n/, "").trim());
});
