/** Folders and ports that no other test run has. */

/** A new folder, removed with all that is in it at the end of the scope. */
export interface TempDir extends Disposable {
  readonly path: string;
  /** The path of a file in it. */
  file(name: string): string;
}

/** Makes a folder that every user may enter. */
export function tempDir(): TempDir {
  const path = Deno.makeTempDirSync({ prefix: "multibinder-test-" });
  Deno.chmodSync(path, 0o755);
  return {
    path,
    file: (name) => `${path}/${name}`,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** Makes a folder in which everybody may make files, as in /tmp. */
export function openFolder(): TempDir {
  const folder = tempDir();
  Deno.chmodSync(folder.path, 0o1777);
  return folder;
}

/**
 * An address of this machine's loopback network that no other test has. Ports below those of
 * {@link freePort} are for it: one in use on a single address is in use on "every address" as well.
 */
export function loopbackHost(): string {
  const [a = 0, b = 0, c = 0] = crypto.getRandomValues(new Uint8Array(3));
  return `127.${1 + a % 254}.${b}.${1 + c % 254}`;
}

/** A port that is free on every address, below those that the kernel gives to outgoing connections. */
export function freePort(): number {
  for (;;) {
    const [random = 0] = crypto.getRandomValues(new Uint16Array(1));
    const port = 10_000 + random % 20_000;
    try {
      Deno.listen({ hostname: "0.0.0.0", port }).close();
      Deno.listen({ hostname: "::", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
