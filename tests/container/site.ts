/** The example's containers: a binder, and two versions of a site that share its port. */

import { get, type Target } from "../support/http_client.ts";
import type { WrapperStatus } from "../support/status.ts";
import { freePort } from "../support/temp_dir.ts";
import type { Engine } from "./containers.ts";
import { type Container, engine as ours, type Volume } from "./engine.ts";
import { buildImages, EXAMPLE, MULTIBINDER, PAUSE, SITE } from "./images.ts";

export type Version = "v1" | "v2";

/** Where the wrappers have their control sockets. */
const CONTROL = "/tmp/control.sock";

export interface SiteOptions {
  /** Which has the images; by default the one of this run, in which they are built. */
  engine?: Engine;
  /** Of `podman run`, for the binder. */
  binder?: readonly string[];
  /** Whether a container of its own keeps the binder's network namespace, and has the port. */
  pause?: boolean;
  /** Of `bind`. */
  args?: readonly string[];
  /** For the volume. */
  volume?: readonly string[];
  /** Image of HAProxy. */
  image?: string;
  /** Folder of the configs, by default the example's. */
  configs?: string;
}

/** A binder and the backends of both versions. No HAProxy runs yet. */
export class Site implements AsyncDisposable {
  readonly #running = new Map<Version, Container>();

  private constructor(
    readonly options: SiteOptions,
    readonly engine: Engine,
    readonly target: Target,
    readonly volume: Volume,
    readonly binder: Container,
    readonly resources: AsyncDisposable,
  ) {}

  static async start(options: SiteOptions = {}): Promise<Site> {
    const { engine = ours } = options;
    await buildImages();
    await using cleanup = new AsyncDisposableStack();
    const target = { hostname: engine.hostname, port: freePort() };
    const volume = cleanup.use(await engine.volume(...options.volume ?? []));
    const publish = ["-p", `${target.port}:80`];
    const net = options.pause
      ? cleanup.use(await engine.start("site-net", ...publish, PAUSE))
      : undefined;
    const network = net ? `container:${net.name}` : engine.network;
    const bind = async () => {
      const args = options.args ?? ["--group", "99", "--mode", "0660", ":80"];
      const own = [...net ? [] : publish, ...options.binder ?? []];
      const command = ["-v", `${volume.name}:/run`, ...own, MULTIBINDER, "bind", ...args];
      const binder = cleanup.use(await engine.startIn(network, "binder", ...command));
      await binder.waitFor(({ missing }) => missing.length === 0);
      return binder;
    };
    const backend = async (version: Version) => {
      const args = ["-e", `VERSION=${version.toUpperCase()}`, "-v", `${EXAMPLE}:/etc/haproxy:ro`];
      const command = [...args, SITE, "-f", "/etc/haproxy/static.cfg"];
      await cleanup.use(await engine.start(`static-${version}`, ...command)).serving();
    };
    const [binder] = await Promise.all([bind(), backend("v1"), backend("v2")]);
    return new Site(options, engine, target, volume, binder, cleanup.move());
  }

  /** Starts HAProxy of a version, and waits until it serves. @param options of `podman run` */
  async up(version: Version, options: readonly string[] = []): Promise<Container> {
    return await (await this.launch(version, options)).serving();
  }

  /**
   * Starts HAProxy of a version.
   * @param options of `podman run`
   * @param exec options of the wrapper besides those of the image
   */
  async launch(
    version: Version,
    options: readonly string[] = [],
    exec: readonly string[] = [],
  ): Promise<Container> {
    const { image = SITE, configs = EXAMPLE } = this.options;
    const [entrypoint, words] = exec.length === 0 ? [[], []] : [
      ["--entrypoint", "multibinder"],
      ["exec", "--render-dir", "/tmp", ...exec, "--", "haproxy"],
    ];
    const container = await this.engine.start(
      `haproxy-${version}`,
      ...["-e", "MULTIBINDER_SOCK=/run/multibinder.sock", "-e", `MULTIBINDER_CONTROL=${CONTROL}`],
      ...["-v", `${this.volume.name}:/run`, "-v", `${configs}:/etc/haproxy:ro`],
      ...[...entrypoint, ...options],
      ...[image, ...words, "-f", `/etc/haproxy/site.${version}.cfg.erb`],
    );
    this.#running.set(version, container);
    return container;
  }

  /** Waits until HAProxy of a version runs as that generation, and none before it is left. */
  async serves(version: Version, generation: number): Promise<void> {
    await this.#running.get(version)?.waitFor<WrapperStatus>(
      ({ generations: [one, ...others] }) =>
        one?.number === generation && one.state === "serving" && others.length === 0,
      CONTROL,
    );
  }

  /** Stops HAProxy of a version as `docker stop` does, and removes it. */
  async down(version: Version): Promise<{ code: number; took: number }> {
    const container = this.#running.get(version);
    if (container === undefined) throw new Error(`no HAProxy of ${version} runs`);
    const ended = await container.stop();
    await this.#remove(version);
    return ended;
  }

  /** What the site answers. */
  async get(): Promise<string> {
    return await get(this.target);
  }

  /** Asks until a version has answered. */
  async answeredBy(version: Version): Promise<void> {
    for (let turn = 0; turn < 1000; turn++) {
      if (await this.get() === version.toUpperCase()) return;
    }
    throw new Error(`${version} answered none of 1000 requests`);
  }

  async #remove(version: Version): Promise<void> {
    await this.#running.get(version)?.remove();
    this.#running.delete(version);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const version of this.#running.keys()) await this.#remove(version);
    await this.resources[Symbol.asyncDispose]();
  }
}
