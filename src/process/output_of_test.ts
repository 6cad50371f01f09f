import { assertEquals } from "@std/assert";
import { ignoreUnless } from "../../tests/support/users.ts";

/** Runs, as nobody, what does not end in time and is root's: it is waited for. */
const SCRIPT = `
import { becomeUser } from "${new URL("../../ffi/process.ts", import.meta.url)}";
import { outputOf } from "${new URL("./output_of.ts", import.meta.url)}";
const exited = Promise.withResolvers();
const output = outputOf(() => ({ pid: Number(Deno.args[0]), exited: exited.promise }), 0);
becomeUser({ name: "nobody", uid: 65534, gid: 65534 });
setTimeout(() => exited.resolve({ code: 3 }), 100);
console.log((await output).isLate, (await output).status.code);
`;

Deno.test({
  name: "a program that may not be killed is waited for, and ends nothing else",
  ignore: ignoreUnless(Deno.uid() === 0, "to be another user needs root"),
  async fn() {
    const root = new Deno.Command("sleep", { args: ["1000"] }).spawn();
    try {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-all", "--no-check", "--ext=ts", "-", `${root.pid}`],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      await new Blob([SCRIPT]).stream().pipeTo(child.stdin);
      const { stdout, stderr } = await child.output();
      assertEquals(new TextDecoder().decode(stdout), "true 3\n", new TextDecoder().decode(stderr));
    } finally {
      root.kill("SIGKILL");
      await root.status;
    }
  },
});
