/**
 * What the pages of docs/ say to type works, and each page says whom it is for. Commands are the blocks marked
 * as `sh`.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { multibinder } from "../support/binder.ts";
import { site, tag } from "../support/haproxy.ts";
import { runProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ROOT = new URL("../../", import.meta.url);

/** Pages whose commands are typed here, beside a binder and a wrapper. */
const HERE = ["docs/containers.md", "docs/operate.md", "docs/watching.md"];

/** Pages whose commands another test types; it must name the page. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "README.md": "tests/examples/readme_test.ts",
  "docs/start.md": "tests/systemd/package_test.ts",
  "docs/systemd.md": "tests/systemd/units_test.ts",
  "examples/docker/README.md": "tests/container/readme.ts",
};

/** Pages whose commands are not typed, and why. */
const NOT_TYPED: Readonly<Record<string, string>> = {
  "docs/kubernetes.md": "they want a cluster, and a registry; the manifests are validated",
  "docs/migrating.md": "it takes a socket from what runs: tests/binder/take_test.ts does",
  "docs/monitoring.md": "each starts a program for good, or is in docs/operate.md too",
  "docs/swarm.md": "they want a swarm; tests/docker/swarm_test.ts makes one and deploys the same",
  "docs/servers.md": "each starts a server for good; tests/servers/ start real ones so",
  "docs/reliability.md": "they are this very test run, and a soak of ten minutes",
};

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** Every page, by its path. */
function pages(): string[] {
  const docs = [...Deno.readDirSync(new URL("docs", ROOT))].map(({ name }) => `docs/${name}`);
  return ["README.md", ...docs.filter((path) => path.endsWith(".md")), "examples/docker/README.md"];
}

function commandsIn(path: string): string[] {
  return [...read(path).matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, text = ""]) => text);
}

Deno.test("each page with commands has a test that types them, or a reason why not", () => {
  const accounted = [...HERE, ...Object.keys(ELSEWHERE), ...Object.keys(NOT_TYPED)];
  const withCommands = pages().filter((path) => commandsIn(path).length > 0);
  assertEquals(withCommands.toSorted(), accounted.toSorted());
  for (const [page, test] of Object.entries(ELSEWHERE)) {
    const name = page.endsWith("README.md") ? "README.md" : page;
    assert(read(test).includes(name), `${test} types ${page}`);
  }
});

Deno.test("each page of docs/ opens with whom it is for", () => {
  for (const path of pages().filter((one) => one.startsWith("docs/"))) {
    assertMatch(read(path), /^# .*\n\n_For who [^_]+_\n/, path);
  }
});

/** A shell in which a binder and a wrapper run as the pages have them, and nobody else has their paths. */
const SCENE = `
  set -eum
  ip link set lo up
  mount -t tmpfs none /run
  mkdir -p /run/bin /run/site
  ln -s "$0" /run/bin/multibinder
  PATH=/run/bin:$PATH
  cat >/run/site/site.cfg.eta <<'END'
${site(tag({ hostname: "0.0.0.0", port: 80 }), "ok")}
END
  echo 'addresses = [":80"]' >/run/binder.toml
  multibinder bind --config /run/binder.toml &
  multibinder exec --sock /run/multibinder.sock --control /run/site/control.sock --settle 20ms \
    -- haproxy -f /run/site/site.cfg.eta &
  until multibinder reload --sock /run/site/control.sock >/run/log 2>&1; do kill -0 %1 && kill -0 %2; done
  # What would run until it is stopped is stopped.
  multibinder() {
    if [[ $1 == top ]]; then timeout 1 /run/bin/multibinder "$@" || (($? == 124))
    else command multibinder "$@"; fi
  }
`;

for (const page of HERE) {
  Deno.test({
    name: `the commands of ${page}, typed in their order`,
    ignore: ignoreUnless(Deno.uid() === 0, "namespaces of its own need root"),
    async fn() {
      using folder = tempDir();
      const script = folder.file("script");
      const blocks = commandsIn(page);
      assert(blocks.length > 0);
      const end = "kill %2\nwait %2\nkill %1\nwait %1\n";
      Deno.writeTextFileSync(script, [SCENE, ...blocks, end].join("\n"));
      const apart = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
      const shell = `script=$1; shift; exec bash -c "$(cat "$script")" "$0"`;
      const words = ["unshare", ...apart, "bash", "-c", shell, multibinder(), script] as const;
      const run = await runProgram(words);
      assertEquals(run.code, 0, `${run.stdout}\n${run.stderr}`);
    },
  });
}
