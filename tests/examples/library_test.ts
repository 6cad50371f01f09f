/** The examples of the library are run: each on the sockets of a binder, where nobody else listens. */

import { assertStrictEquals } from "@std/assert";
import { multibinder, startBinder } from "../support/binder.ts";
import { addressOf, get, newTarget } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** Where they stand: what mod.ts exports is written there. */
const FILES = ["mod.ts", "src/library.ts", "src/sockets/address.ts", "docs/library.md"];

/** Of each function, of the class, and of the pages. */
const EXAMPLES = 9;

const SCENE = `
  ip link set lo up
  export MULTIBINDER_SOCK=$1/control.sock
  "$2" bind & binder=$!
  until "$2" healthcheck 2>/dev/null; do kill -0 $binder || exit 1; done
  shift 2
  "$@"
  code=$?
  kill $binder
  exit $code
`;

Deno.test({
  name: "each example of the library runs",
  ignore: ignoreUnless(Deno.uid() === 0, "a network of its own needs root"),
  async fn() {
    using folder = tempDir();
    const cwd = ROOT;
    const words = [
      "unshare",
      "--net",
      "sh",
      "-c",
      SCENE,
      "sh",
      folder.path,
      multibinder(),
    ] as const;
    const flags = ["--doc", "--no-check", "--allow-all", "--preload=tests/support/libc.ts"];
    const test = [Deno.execPath(), "test", ...flags, ...FILES];
    await using program = startProgram([...words, ...test], { cwd, env: Deno.env.toObject() });
    for (let count = 1; count <= EXAMPLES; count++) {
      await program.waitFor(/ \.\.\. ok \(/, count);
    }
    const { code } = await program.exited;
    assertStrictEquals(code, 0, `${program.stdout}\n${program.stderr}`);
  },
});

const newest = await runProgram([`${ROOT}scripts/check/newest_deno.sh`], {
  env: Deno.env.toObject(),
});

Deno.test({
  name: "a program of the newest Deno serves on a socket of the binder, as the page has it",
  ignore: ignoreUnless(newest.code === 0, newest.stderr.trim()),
  async fn() {
    await using binder = await startBinder();
    using folder = tempDir();
    const target = newTarget();
    const page = Deno.readTextFileSync(`${ROOT}docs/library.md`);
    const [, program = ""] = /^```ts ignore\n(.*?)^```$/ms.exec(page) ?? [];
    const script = folder.file("server.ts");
    Deno.writeTextFileSync(
      script,
      program.replace('"@multibinder/multibinder"', `"${ROOT}mod.ts"`)
        .replace("127.0.0.1:8011", addressOf(target)),
    );
    const flags = ["--no-config", "--no-lock", "--allow-ffi", "--allow-net", "--allow-env"];
    const env = { ...Deno.env.toObject(), MULTIBINDER_SOCK: binder.sock };
    await using server = startProgram([newest.stdout.trim(), "run", ...flags, script], { env });
    await until(() => get(target).then((reply) => reply === "hello\n", () => false));
    assertStrictEquals((await server.end("SIGTERM")).code, 0);
  },
});
