/** The Kubernetes manifests, played by `podman kube play` as far as that goes, under load. */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { DaemonSet, Deployment } from "kubernetes-types/apps/v1.d.ts";
import type { PodSpec } from "kubernetes-types/core/v1.d.ts";
import { parseAllDocuments, stringify } from "yaml";
import { get, Load, type Target } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { type TempDir, tempDir } from "../support/temp_dir.ts";
import { buildInline } from "./bases.ts";
import { Container, containerTest, engine } from "./engine.ts";
import { buildImages } from "./images.ts";

const MANIFESTS = new URL("../../examples/kubernetes/", import.meta.url).pathname;

/** What answers as http-echo does, which no registry gives here. */
const ECHO = `
FROM docker.io/library/debian:bookworm-slim
RUN printf '%s\\n' 'defaults' ' mode http' ' timeout client 9s' ' timeout server 9s' ' timeout connect 9s' \\
  'frontend echo' ' bind :5678' \\
  ' http-request return status 200 content-type text/plain lf-string "\${TEXT}"' >/echo.cfg \\
  && printf '%s\\n' '#!/bin/sh' 'export TEXT=\${1#-text=}' 'exec haproxy -db -f /echo.cfg' >/echo && chmod 755 /echo
ENTRYPOINT ["/echo"]
`;

/** The pod of each workload, by its name. */
function readPods(): Map<string, PodSpec> {
  const files = ["app", "binder", "haproxy", "canary"];
  const documents = files.flatMap((
    file,
  ) => [...parseAllDocuments(Deno.readTextFileSync(`${MANIFESTS}${file}.yaml`))]);
  return new Map(
    documents.map((document): DaemonSet | Deployment => document.toJS())
      .filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment")
      .map((
        { metadata, spec },
      ) => [metadata?.name ?? "", spec?.template.spec ?? { containers: [] }]),
  );
}

/** One node: what kube play makes of the pods. */
class Node implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly #pods = readPods();
  /** The node's folder with the control socket. */
  readonly folder: TempDir = this.#resources.use(tempDir());

  /**
   * Plays a workload's pod. Left out is what podman does not know or has no node for: the node's network, its
   * ports, the probes, which kubelets do, the ranks of pods among each other, and limits of memory.
   * @param env of its container, in place of the manifest's
   */
  async play(name: string, env: Record<string, string> = {}): Promise<string> {
    const { hostNetwork: _network, nodeSelector: _selector, tolerations: _tolerations, ...pod } =
      this
        .#pods.get(name) ?? { containers: [] };
    const { topologySpreadConstraints: _spread, priorityClassName: _rank, ...spec } = pod;
    const containers = spec.containers.map((container) => {
      const { ports: _ports, startupProbe: _startup, readinessProbe: _ready, ...rest } = container;
      const { livenessProbe: _live, resources: _limits, env: own = [], command, ...left } = rest;
      // Without a registry every image is here already, by its whole name.
      const image = left.image?.replace(/^(?=.*\/)/, "docker.io/");
      // Ten seconds for load balancers, of which there are none here.
      const words = command?.map((word) => word.replace("--stop-delay=10s", "--stop-delay=1s"));
      const variables = own.map(({ name, value }) => ({ name, value: env[name] ?? value }));
      return {
        ...left,
        ...image && { image },
        imagePullPolicy: "Never",
        ...words && { command: words },
        env: variables,
      };
    });
    const volumes = spec.volumes?.map((volume) =>
      volume.hostPath
        ? { ...volume, hostPath: { ...volume.hostPath, path: this.folder.path } }
        : volume
    );
    const manifests = [
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "haproxy" }, data: CONFIGS },
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name },
        spec: { ...spec, containers, ...volumes && { volumes } },
      },
    ];
    const file = this.folder.file(`${name}.yaml`);
    Deno.writeTextFileSync(file, manifests.map((one) => stringify(one)).join("---\n"));
    this.#resources.defer(async () =>
      void await engine.try("pod", "rm", "--force", "--time", "0", name)
    );
    await engine.run("kube", "play", "--network", engine.network, file);
    const infra = await engine.run("pod", "inspect", "--format", "{{.InfraContainerID}}", name);
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    return await engine.run("inspect", "--format", format, infra);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** The engine's containers may have 4096 files open. */
const CONFIGS = {
  "site.cfg.eta": Deno.readTextFileSync(`${MANIFESTS}site.cfg.eta`)
    .replace("maxconn 4000", "maxconn 1000"),
};

containerTest(
  "the pods of a node: v1, v2 beside it, v1 stopped, the binder restarted",
  async () => {
    await buildImages();
    await buildInline(engine, "docker.io/hashicorp/http-echo:1.0.0", ECHO);
    await using node = await Promise.resolve(new Node());
    const apps = [await node.play("app-v1"), await node.play("app-v2")];
    const target: Target = { hostname: await node.play("binder"), port: 80 };
    await node.play("haproxy", { APP: `${apps[0]}:5678` });
    const answers = async (text: string) => await get(target).catch(() => "") === text;
    await until(() => answers("V1"));
    assertStrictEquals(await new Container(engine, "haproxy-haproxy").user(), 99);

    await using load = new Load(target, { workers: 2 });
    await load.more("V1");
    await node.play("haproxy-canary", { APP: `${apps[1]}:5678` });
    await Promise.all([load.more("V1"), load.more("V2")]);
    // Not its pod, whose network podman takes away first: on a node HAProxy has the node's, which stays.
    await engine.run("stop", "--time", "90", "haproxy-haproxy");
    const { V1 } = Object.fromEntries(load.outcome.replies);
    await load.more("V2");
    assertStrictEquals(load.outcome.replies.get("V1"), V1, "v1 has drained");
    // The pod's network lives on, as a node's does: HAProxy's user hands back what the next binder is to hold.
    await engine.run("restart", "binder-binder");
    const sock = "/run/multibinder/multibinder.sock";
    const healthy = ["exec", "binder-binder", "multibinder", "healthcheck", "--sock", sock];
    await until(async () => (await engine.try(...healthy)).code === 0);
    await load.more("V2");
    const { ok, failures, replies } = await load.stop();
    console.info(`kube play: ${ok} ok (${[...replies].join(" ")}), ${failures.length} failed`);
    assertEquals(failures, []);
    assert((V1 ?? 0) > 0);
  },
);
