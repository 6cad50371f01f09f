/** Running as a user without privileges. */

const NOBODY = "65534";

/** What runs a program without privileges: nothing when the tests themselves have none. */
export const UNPRIVILEGED: readonly string[] = Deno.uid() === 0
  ? ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps=-all"]
  : [];

/** For `ignore` of a test: true, with the reason shown, when a condition it needs is not met. */
export function ignoreUnless(condition: boolean, reason: string): boolean {
  if (!condition) Deno.stdout.writeSync(new TextEncoder().encode(`SKIP ${reason}\n`));
  return !condition;
}

/** Whether a program is installed. @param name or its path */
export function hasProgram(name: string): boolean {
  if (name.startsWith("/")) return true;
  return `${Deno.env.get("PATH")}:/usr/sbin`.split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${name}`).isFile;
    } catch {
      return false;
    }
  });
}
