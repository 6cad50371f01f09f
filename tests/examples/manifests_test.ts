/** The manifests in `examples/kubernetes` and the jobs in `examples/nomad`, as far as no cluster is needed. */

import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import type { DaemonSet, Deployment } from "kubernetes-types/apps/v1.d.ts";
import type { Container, PodSpec } from "kubernetes-types/core/v1.d.ts";
import { parse, parseAllDocuments } from "yaml";
import { multibinder } from "../support/binder.ts";
import { runProgram } from "../support/program.ts";
import { freePort, tempDir } from "../support/temp_dir.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const KUBERNETES = `${ROOT}examples/kubernetes/`;
const NOMAD = `${ROOT}examples/nomad/`;

/** What every manifest has. */
interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

type Workload = DaemonSet | Deployment;

const kustomization: {
  namespace: string;
  resources: string[];
  configMapGenerator: { name: string; files: string[] }[];
  images: { name: string }[];
} = parse(Deno.readTextFileSync(`${KUBERNETES}kustomization.yaml`));

function readManifests(): Manifest[] {
  return kustomization.resources.flatMap((file) =>
    parseManifests(Deno.readTextFileSync(KUBERNETES + file))
  );
}

function parseManifests(text: string): Manifest[] {
  return [...parseAllDocuments(text)].map((document) => {
    assertEquals(document.errors, []);
    return document.toJS();
  });
}

/**
 * Holds manifests against the types made from the API's own description, as TypeScript literals: there an
 * unknown field is as much an error as a missing one, and one of the wrong type.
 * @returns the compiler's errors; empty when there is none
 */
async function typeErrors(manifests: readonly Manifest[]): Promise<string> {
  using folder = tempDir();
  const declarations = manifests.map((manifest, index) => {
    const { apiVersion, kind } = manifest;
    const module = apiVersion.includes("/")
      ? apiVersion.replace(".k8s.io/", "/")
      : `core/${apiVersion}`;
    return `import type { ${kind} as Kind${index} } from "kubernetes-types/${module}.d.ts";\n` +
      `export const manifest${index}: Kind${index} = ${JSON.stringify(manifest, null, 2)};\n`;
  });
  const file = folder.file("manifests.ts");
  Deno.writeTextFileSync(file, declarations.join(""));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", `${ROOT}deno.json`, file],
    env: { NO_COLOR: "1" },
  }).output();
  return success ? "" : new TextDecoder().decode(stderr);
}

function readWorkloads(): { name: string; workload: Workload; pod: PodSpec }[] {
  return readManifests().filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment")
    .map((manifest) => {
      // The first test proves it.
      const workload = manifest as Workload;
      const pod = workload.spec?.template.spec;
      assert(pod);
      return { name: manifest.metadata.name, workload, pod };
    });
}

/** The command lines of the program in a container: its own and those of its probes. */
function commandsOf({ image, command, args = [], ...container }: Container): string[][] {
  const { startupProbe, readinessProbe, livenessProbe } = container;
  const probes = [startupProbe, readinessProbe, livenessProbe].map((it) => it?.exec?.command ?? []);
  // Without a command it is the image's entry point that gets the arguments.
  const main = command ?? (image === "multibinder" ? ["multibinder"] : []);
  return [[...main, ...args], ...probes].filter(([program]) => program === "multibinder");
}

/** Seconds that an option such as `--drain=60s` has in a text. */
function seconds(text: string, option: string): number {
  const [, value] = new RegExp(`--${option}=(\\d+)s\\b`).exec(text) ?? [];
  assert(value, `--${option}= in ${text}`);
  return Number(value);
}

async function assertOptions(command: string, options: readonly string[]): Promise<void> {
  const { code, stdout } = await runProgram([multibinder(), "help", command]);
  assertStrictEquals(code, 0);
  assertMatch(
    stdout,
    new RegExp(`^Usage: (multibinder )?${command} `, "m"),
    `no command ${command}`,
  );
  for (const option of options) {
    assertMatch(stdout, new RegExp(`^ +(-\\w, )?${option}\\b`, "m"), `${command} ${option}`);
  }
}

Deno.test("every manifest has the fields of its kind and no others", async () => {
  assertStrictEquals(await typeErrors(readManifests()), "");
});

Deno.test("a misspelt field, a wrong type and a missing field are found", async () => {
  const binder = Deno.readTextFileSync(`${KUBERNETES}binder.yaml`);
  const wrong = {
    "livenessProbe:": ["livenesProbe:", /'"?livenesProbe"?' does not exist in type 'Container'/],
    "hostPort: 80": ["hostPort: eighty", /'string' is not assignable to type 'number'/],
    "- name: binder": ["- tty: false", /'name' is missing .* required in type 'Container'/],
  } as const;
  const manifests = Object.entries(wrong).flatMap(([right, [typo]]) => {
    assert(binder.includes(right));
    return parseManifests(binder.replace(right, typo));
  });
  const errors = await typeErrors(manifests);
  for (const [, pattern] of Object.values(wrong)) assertMatch(errors, pattern);
});

Deno.test("the kustomization names what is there", () => {
  const files = [...Deno.readDirSync(KUBERNETES)].map(({ name }) => name);
  const named = kustomization.configMapGenerator.flatMap((map) => map.files);
  assertEquals(
    files.toSorted(),
    [...kustomization.resources, ...named, "kustomization.yaml"].toSorted(),
  );
  for (const { metadata, kind } of readManifests()) {
    const isOfCluster = kind === "Namespace" || kind === "PriorityClass";
    assertStrictEquals(metadata.namespace, isOfCluster ? undefined : kustomization.namespace);
  }
  const images = kustomization.images.map(({ name }) => name);
  const maps = kustomization.configMapGenerator.map(({ name }) => name);
  for (const { pod } of readWorkloads().filter(({ pod }) => pod.nodeSelector)) {
    pod.containers.forEach(({ image = "" }) => assert(images.includes(image), image));
    pod.volumes?.forEach(({ configMap }) => assert(maps.includes(configMap?.name ?? "haproxy")));
  }
});

Deno.test("selectors match labels, mounts match volumes, and sockets are where they are looked for", () => {
  for (const { name, workload, pod } of readWorkloads()) {
    const { selector, template } = workload.spec ?? {};
    const labels = template?.metadata?.labels ?? {};
    for (const [key, value] of Object.entries(selector?.matchLabels ?? {})) {
      assertStrictEquals(labels[key], value, name);
    }
    const volumes = pod.volumes?.map((volume) => volume.name) ?? [];
    for (const container of pod.containers) {
      const mounts = container.volumeMounts ?? [];
      assertEquals(mounts.map((mount) => mount.name).toSorted(), volumes.toSorted(), name);
      const paths = commandsOf(container).flat().flatMap((word) => /\/[^ ]+/.exec(word) ?? []);
      for (const path of paths) {
        assert(mounts.some((it) => `${path}/`.startsWith(`${it.mountPath}/`)), path);
      }
    }
  }
});

Deno.test("commands and probes are the program's", async () => {
  const commands = readWorkloads().flatMap(({ pod }) => pod.containers.flatMap(commandsOf));
  const jobs = ["binder", "haproxy"].map((it) => Deno.readTextFileSync(`${NOMAD}${it}.nomad.hcl`));
  for (const job of jobs) {
    const [, args = ""] = /\bargs\s*= \[(.*?)\]/s.exec(job) ?? [];
    commands.push(["multibinder", ...[...args.matchAll(/"(.*?)"/g)].map(([, word = ""]) => word)]);
  }
  assertStrictEquals(commands.length, 3 + 2 * 2 + 2);
  for (const [, command = "", ...args] of commands) {
    const own = args.slice(0, args.includes("--") ? args.indexOf("--") : args.length);
    const options = own.filter((word) => word.startsWith("--"));
    await assertOptions(command, options.map((word) => word.replace(/=.*/, "")));
  }
});

Deno.test("a stop is given the time that it may take", () => {
  const pods = readWorkloads().map(({ pod }) => pod)
    .filter(({ containers }) => containers.some(({ command }) => command?.includes("exec")));
  assertStrictEquals(pods.length, 2);
  for (const { containers, terminationGracePeriodSeconds = 0 } of pods) {
    const words = containers.flatMap(({ command = [] }) => command).join(" ");
    const longest = seconds(words, "stop-delay") + seconds(words, "drain");
    assert(terminationGracePeriodSeconds > longest, `${terminationGracePeriodSeconds} s`);
  }
  const job = Deno.readTextFileSync(`${NOMAD}haproxy.nomad.hcl`);
  const [, timeout] = /kill_timeout = "(\d+)s"/.exec(job) ?? [];
  assert(Number(timeout) > seconds(job, "stop-delay") + seconds(job, "drain"));
});

Deno.test("the canary is the stable HAProxy but for the version", () => {
  const [stable, canary] = ["haproxy", "haproxy-canary"].map((wanted) =>
    JSON.stringify(readWorkloads().find(({ name }) => name === wanted)?.pod)
  );
  assert(canary?.includes("app-v2:80"));
  const alike = canary?.replace("app-v2:80", "app-v1:80").replaceAll(
    "haproxy-canary-run",
    "haproxy-run",
  );
  assertStrictEquals(alike, stable);
});

/** The parts of other kinds that name pods. */
interface Selecting extends Manifest {
  spec: {
    selector?: { matchLabels?: Record<string, string> };
    podSelector?: { matchLabels?: Record<string, string> };
    ingress?: { ports?: { port: string | number }[] }[];
  };
}

Deno.test("disruption budgets and network policies are about pods that there are", () => {
  const pods = readWorkloads().map(({ name, workload, pod }) => ({
    name,
    pod,
    labels: workload.spec?.template.metadata?.labels ?? {},
  }));
  const selected = (kind: string) =>
    readManifests().filter((one) => one.kind === kind).map((one) => {
      const { spec, metadata } = one as Selecting;
      const wanted = Object.entries((spec.selector ?? spec.podSelector)?.matchLabels ?? {});
      const found = pods.filter(({ labels }) =>
        wanted.every(([key, value]) => labels[key] === value)
      );
      assert(found.length > 0, metadata.name);
      const ports = (spec.ingress ?? []).flatMap((rule) => rule.ports ?? []);
      for (const { port } of ports) {
        for (const { pod } of found) {
          const names = pod.containers.flatMap((it) => it.ports?.map(({ name }) => name) ?? []);
          assert(names.includes(String(port)), `${metadata.name}: ${port}`);
        }
      }
      return found.map(({ name }) => name);
    });
  assertEquals(selected("PodDisruptionBudget").toSorted(), [
    ["app-v1"],
    ["app-v2"],
    ["haproxy-canary"],
  ]);
  assertEquals(selected("NetworkPolicy").map((names) => names.length), [5, 2, 2]);
});

Deno.test("pods have a rank, resources, and no more rights than they need", () => {
  const classes = readManifests().filter(({ kind }) => kind === "PriorityClass")
    .map(({ metadata }) => metadata.name);
  for (const { name, pod } of readWorkloads()) {
    const serves = pod.nodeSelector !== undefined;
    const rank = pod.priorityClassName ?? "";
    if (serves) {
      assert(rank === "system-node-critical" || classes.includes(rank), name);
      assert(pod.tolerations?.length, name);
    }
    assertStrictEquals(pod.automountServiceAccountToken, false, name);
    for (const { resources, securityContext } of pod.containers) {
      const { runAsUser, runAsNonRoot } = { ...pod.securityContext, ...securityContext };
      assert(
        resources?.requests?.memory && resources.requests.cpu && resources.limits?.memory,
        name,
      );
      assertStrictEquals(securityContext?.allowPrivilegeEscalation, false, name);
      assertStrictEquals(securityContext.readOnlyRootFilesystem, true, name);
      assertEquals(securityContext.capabilities?.drop, ["ALL"], name);
      const profile = securityContext.seccompProfile ?? pod.securityContext?.seccompProfile;
      assertStrictEquals(profile?.type, "RuntimeDefault", name);
      if (name !== "binder") assert(runAsNonRoot && runAsUser !== 0, name);
    }
  }
});

Deno.test("HAProxy's user is the one that the binder lets in and takes sockets back from", () => {
  const containers = readWorkloads().flatMap(({ pod }) => pod.containers);
  const { args = [], securityContext } = containers.find(({ name }) => name === "binder") ?? {};
  for (const { securityContext: its } of containers.filter(({ name }) => name === "haproxy")) {
    assert(args.includes(`--adopt-uid=${its?.runAsUser}`));
    assert(args.includes(`--group=${its?.runAsGroup}`));
    assertStrictEquals(securityContext?.runAsGroup, its?.runAsGroup);
  }
});

Deno.test("HAProxy accepts the config", async () => {
  using folder = tempDir();
  const template = Deno.readTextFileSync(`${KUBERNETES}site.cfg.eta`);
  const file = folder.file("site.cfg.eta");
  Deno.writeTextFileSync(file, template.replace("('0.0.0.0', 80)", `('127.0.0.1', ${freePort()})`));
  const env = { APP: "127.0.0.1:80" };
  const { code, stderr } = await runProgram(
    [multibinder(), "exec", "--", "haproxy", "-c", "-f", file],
    { env },
  );
  assertStrictEquals(code, 0, stderr);
});
