/** Users and groups that the command line names are those that the system knows, from wherever it has them. */

import { assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import { type BinderOptions, multibinder, startBinder } from "../support/binder.ts";
import { exists } from "../support/files.ts";
import { processStatus } from "../support/process_status.ts";
import { runProgram } from "../support/program.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";
import { ignoreUnless } from "../support/users.ts";

/** A name service of Debian's that reads users from files of its own, as one for LDAP does from a server. */
const MODULE = "/usr/lib/libnss_extrausers.so.2";

const ignoreWithout = (condition: boolean, what: string) => ({
  ignore: ignoreUnless(condition, what),
});
const isRoot = ignoreWithout(Deno.uid() === 0, "mounting needs root");

/** Runs a program where /etc is a copy that a script has changed. */
function withEtc(folder: TempDir, script: string): string[] {
  const etc = folder.file("etc");
  const prepare = `cp -a /etc "$0" && cd "$0" && ${script} && mount --bind "$0" /etc && exec "$@"`;
  return ["unshare", "--mount", "sh", "-ec", prepare, etc];
}

/** Starts a binder that becomes a user. @returns what it has become */
async function become(user: string, options: BinderOptions) {
  await using binder = await startBinder([], {
    ...options,
    args: ["--user", user, ...options.args ?? []],
  });
  const { pid } = binder.program;
  const ids = ["Uid", "Gid", "Groups"].map((name) =>
    processStatus(pid, name)?.trim().split(/\s+/).map(Number)
  );
  const { uid, gid } = Deno.statSync(binder.sock);
  return { ids, owner: [uid, gid] };
}

Deno.test("a user of a directory service can be named, and its groups come along", {
  ignore: isRoot.ignore || ignoreUnless(exists(MODULE), `no ${MODULE}`),
}, async () => {
  using folder = tempDir();
  const users = folder.file("users");
  Deno.mkdirSync(users);
  Deno.writeTextFileSync(`${users}/passwd`, "ldapuser:x:54321:54320::/:/bin/false\n");
  const groups = "ldapgroup:x:54320:\nldapmore:x:54322:ldapuser\n";
  Deno.writeTextFileSync(`${users}/group`, groups);
  const through = withEtc(
    folder,
    `sed -i -E 's/^(passwd|group|initgroups):.*/\\1: files extrausers/' nsswitch.conf && ` +
      `mount --bind ${users} /var/lib/extrausers`,
  );
  const args = ["--group", "ldapmore", "--allow-uid", "ldapuser", "--allow-gid", "ldapgroup"];
  for (const user of ["ldapuser", "54321"]) {
    const { ids, owner } = await become(user, { through, args });
    assertEquals(ids, [Array(4).fill(54321), Array(4).fill(54320), [54320, 54322]]);
    assertEquals(owner, [54321, 54322]);
  }
  // The control: without the service nobody knows that name.
  const [file = "", ...words] = [multibinder(), "bind", "--sock", folder.file("sock")];
  const { code, stderr } = await runProgram([file, ...words, "--user", "ldapuser"]);
  assertStrictEquals(code, 2);
  assertMatch(stderr, /there is no user "ldapuser"/);
});

Deno.test(
  "without nsswitch.conf, as in a small image, /etc/passwd and /etc/group count",
  isRoot,
  async () => {
    using folder = tempDir();
    const through = withEtc(folder, "rm nsswitch.conf && echo site:x:4711:4712::/:/x >passwd");
    const { ids } = await become("site", { through });
    assertEquals(ids.slice(0, 2), [Array(4).fill(4711), Array(4).fill(4712)]);
  },
);
