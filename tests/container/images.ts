/** The project's images, built from its Dockerfiles when the first test needs them. */

import { buildImage, importBases } from "./bases.ts";
import { engine } from "./engine.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
/** Where the example is. */
export const EXAMPLE = `${ROOT}/examples/docker`;

/** Names of the images, as the example has them. */
export const MULTIBINDER = "multibinder";
export const SITE = "site-haproxy";
export const PAUSE = "registry.k8s.io/pause:3.10";

let built: Promise<string> | undefined;

/** Builds both images, once. @returns what the build of the first prints */
export function buildImages(): Promise<string> {
  return built ??= build();
}

async function build(): Promise<string> {
  await importBases(engine);
  const output = await buildImage(engine, MULTIBINDER, `${ROOT}/Dockerfile`, ROOT);
  await buildImage(engine, SITE, `${EXAMPLE}/haproxy.Dockerfile`, EXAMPLE);
  return output;
}
