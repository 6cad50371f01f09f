/** The engine of a test run: podman, or Docker if MULTIBINDER_ENGINE is `docker`. */

import { multibinder } from "../support/binder.ts";
import { ignoreUnless } from "../support/users.ts";
import { importDistroless } from "./bases.ts";
import { Docker } from "./docker.ts";
import { Container, type Engine, type Volume } from "./containers.ts";
import { Podman } from "./podman.ts";

export { Container, type Volume };

export const DISTROLESS = "gcr.io/distroless/cc-debian12";

/** Why containers cannot be run here; undefined when they can. */
async function obstacle(engine: Engine): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "it needs root";
  try {
    await engine.prepare();
    await importDistroless(engine);
    const options = ["--rm", "--network", engine.network, "--publish", "80"];
    const program = ["-v", `${multibinder()}:/program:ro`, DISTROLESS, "/program", "--version"];
    await engine.run("run", ...options, ...program);
    return undefined;
  } catch (error) {
    return String(error).replaceAll(/\s+/g, " ");
  }
}

export const engine: Engine = Deno.env.get("MULTIBINDER_ENGINE") === "docker"
  ? new Docker()
  : new Podman();
globalThis.addEventListener("unload", () => engine.remove());
// A run that is cut off leaves no container behind. By itself this signal would end it at once.
Deno.addSignalListener("SIGTERM", () => {
  engine.remove();
  Deno.kill(Deno.pid, "SIGKILL");
});

const reason = await obstacle(engine);
const ignore = ignoreUnless(
  reason === undefined,
  `${engine.name} cannot run containers here: ${reason}`,
);

/** A test that needs containers. @param missing whether what else it needs is not there */
export function containerTest(name: string, fn: () => Promise<void>, missing = false): void {
  Deno.test({ name: `${engine.name}: ${name}`, ignore: ignore || missing, fn });
}
