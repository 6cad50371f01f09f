/**
 * A swarm of three nodes, with examples/swarm/stack.yaml on it, under load on each node's port: what
 * docs/swarm.md says.
 */

// deno-lint-ignore-file no-console -- what was measured is worth reading
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { type DockerEngine, must } from "../support/docker.ts";
import { get, Load, type Outcome, type Target } from "../support/http_client.ts";
import { until } from "../support/process_status.ts";
import { tempDir } from "../support/temp_dir.ts";

Deno.env.set("MULTIBINDER_ENGINE", "docker");
const { containerTest, engine } = await import("../container/engine.ts");
const { buildImages, MULTIBINDER, SITE } = await import("../container/images.ts");
const { Docker } = await import("../container/docker.ts");

/** How long Swarm may take for what it does, in milliseconds. */
const PATIENCE = 180_000;
const EXAMPLES = new URL("../../examples", import.meta.url).pathname;

/** Two more engines, which outlive each test as the first one does; none where that one cannot be started. */
const workers: DockerEngine[] = [];
if (engine instanceof Docker) {
  for (const _ of [1, 2]) await engine.another().then((it) => workers.push(it)).catch(() => {});
  globalThis.addEventListener("unload", () => workers.forEach((worker) => worker.remove()));
}

/** Every node; the first is the manager. */
class Swarm {
  private constructor(readonly nodes: readonly DockerEngine[]) {}

  static async create(): Promise<Swarm> {
    assert(engine instanceof Docker);
    await buildImages();
    const archive = engine.folder.file("images.tar");
    await engine.run("save", "--output", archive, MULTIBINDER, SITE);
    const manager = engine.engine;
    const { address } = manager;
    const nodes = [manager, ...workers];
    assertStrictEquals(nodes.length, 3, "an engine could not be started");
    const at = ["--advertise-addr"];
    await manager.run("swarm", "init", ...at, address);
    const token = await manager.run("swarm", "join-token", "--quiet", "worker");
    for (const node of nodes.slice(1)) {
      await node.run("load", "--input", archive);
      await node.run("swarm", "join", ...at, node.address, "--token", token, `${address}:2377`);
    }
    Deno.removeSync(archive);
    return new Swarm(nodes);
  }

  get manager(): DockerEngine {
    const [manager] = this.nodes;
    assert(manager);
    return manager;
  }

  get targets(): Target[] {
    return this.nodes.map(({ address: hostname }) => ({ hostname, port: 80 }));
  }

  /** Deploys the stack of a folder of examples. @param env what its variables are to be */
  async deploy(env: Record<string, string>, examples = EXAMPLES): Promise<void> {
    const file = `${examples}/swarm/stack.yaml`;
    const deploy = ["docker", "stack", "deploy", "--resolve-image", "never", "--compose-file"];
    await must([...deploy, file, "site"], { ...this.manager.environment, ...env });
  }

  /** Has HAProxy, or the binder, updated. @returns the state in which that ended */
  async update(service: string, change: () => Promise<unknown>): Promise<string> {
    const inspect = async () => {
      const format =
        "{{if .UpdateStatus}}{{.UpdateStatus.StartedAt}} {{.UpdateStatus.State}}{{end}}";
      const words = ["service", "inspect", "--format", format, service];
      const status = await this.manager.run(...words);
      const space = status.lastIndexOf(" ");
      return { started: status.slice(0, space), state: status.slice(space + 1) };
    };
    const before = await inspect();
    await change();
    let { started, state } = before;
    await until(async () => {
      ({ started, state } = await inspect());
      return started !== before.started && /completed|paused/.test(state);
    }, PATIENCE);
    return state;
  }

  /** Has all tasks of a service replaced by new ones. */
  replace(service: string): Promise<string> {
    const words = ["service", "update", "--force", "--detach", service];
    return this.update(service, () => this.manager.run(...words));
  }

  /** Waits until a node answers with nothing but one version. */
  async answers(version: string, target: Target): Promise<void> {
    let row = 0;
    await until(async () => {
      row = await get(target).catch(() => "") === version ? row + 1 : 0;
      return row >= 20;
    }, PATIENCE);
  }

  async allAnswer(version: string): Promise<void> {
    await Promise.all(this.targets.map((target) => this.answers(version, target)));
  }
}

let created: Promise<Swarm> | undefined;
/** The swarm of this run. */
const swarm = () => created ??= Swarm.create();

/** Loads each target, and tells how each load ended. */
async function under(targets: readonly Target[], what: () => Promise<void>): Promise<Outcome[]> {
  await using loads = new AsyncDisposableStack();
  const each = targets.map((target) => loads.use(new Load(target, { workers: 2 })));
  await what();
  return await Promise.all(each.map((load) => load.stop()));
}

function assertNoneFailed(what: string, outcomes: readonly Outcome[]): void {
  for (const [index, { ok, failures, replies }] of outcomes.entries()) {
    console.info(`${what}, node ${index + 1}:`, Object.fromEntries(replies), failures.length);
    assertEquals(failures.slice(0, 5), []);
    assert(ok > 100, `only ${ok} requests`);
  }
}

/** A copy of the examples, to change. */
async function copyOfExamples() {
  const folder = tempDir();
  await must(["cp", "-r", EXAMPLES, folder.path]);
  const path = folder.file("examples");
  return {
    path,
    change(file: string, edit: (text: string) => string) {
      const before = Deno.readTextFileSync(`${path}/swarm/${file}`);
      const after = edit(before);
      assert(after !== before);
      Deno.writeTextFileSync(`${path}/swarm/${file}`, after);
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

containerTest("swarm: v1 becomes v2 on three nodes, and no request fails", async () => {
  const site = await swarm();
  await site.deploy({ VERSION: "v1" });
  await site.allAnswer("V1");
  const outcomes = await under(site.targets, async () => {
    const state = await site.update("site_haproxy", () => site.deploy({ VERSION: "v2" }));
    assertStrictEquals(state, "completed");
    await site.allAnswer("V2");
  });
  assertNoneFailed("v1 to v2", outcomes);
  for (const { replies } of outcomes) assertEquals([...replies.keys()], ["V1", "V2"]);
});

containerTest(
  "swarm: a config that HAProxy refuses is rolled back, and no request fails",
  async () => {
    const site = await swarm();
    await site.deploy({ VERSION: "v2" });
    await site.allAnswer("V2");
    using examples = await copyOfExamples();
    examples.change("site.cfg.eta", (text) => `${text}\nnonsense\n`);
    const outcomes = await under(site.targets, async () => {
      const bad = () => site.deploy({ VERSION: "v1", CONFIG: "bad" }, examples.path);
      assertStrictEquals(await site.update("site_haproxy", bad), "rollback_completed");
      await site.allAnswer("V2");
    });
    assertNoneFailed("a bad config", outcomes);
  },
);

containerTest("swarm: tasks of the binder are replaced, and no request fails", async () => {
  const site = await swarm();
  await site.deploy({ VERSION: "v2" });
  await site.allAnswer("V2");
  const outcomes = await under(site.targets, async () => {
    assertStrictEquals(await site.replace("site_binder"), "completed");
    await site.allAnswer("V2");
    // The new binders have the old sockets: HAProxy's next tasks serve beside the last ones.
    assertStrictEquals(await site.replace("site_haproxy"), "completed");
    await site.allAnswer("V2");
  });
  assertNoneFailed("new binders", outcomes);
});

containerTest(
  "swarm: a node is drained and comes back, and the others lose no request",
  async () => {
    const site = await swarm();
    await site.deploy({ VERSION: "v2" });
    await site.allAnswer("V2");
    const [last, ...others] = site.targets.toReversed();
    assert(last);
    const nodes = await site.manager.run("node", "ls", "--format", "{{.ID}} {{.Self}}");
    const ids = nodes.split("\n").filter((line) => line.endsWith("false"));
    const addresses = await Promise.all(ids.map(async (line) => {
      const [id = ""] = line.split(" ");
      return [id, await site.manager.run("node", "inspect", "--format", "{{.Status.Addr}}", id)];
    }));
    const [id = ""] = addresses.find(([, address]) => address === last.hostname) ?? [];
    const availability = (name: string) =>
      site.manager.run("node", "update", "--availability", name, id);
    const outcomes = await under(others, async () => {
      await availability("drain");
      await until(async () => await get(last).catch(() => "refused") === "refused", PATIENCE);
      await availability("active");
      await site.answers("V2", last);
    });
    assertNoneFailed("another node drained", outcomes);
  },
);

containerTest(
  "swarm: behind a port in host mode, a new binder's node is cut off until HAProxy asks again",
  async () => {
    const site = await swarm();
    using examples = await copyOfExamples();
    examples.change("stack.yaml", (text) =>
      text.replace(/^( +)networks: \[node\]\n/m, "")
        .replace(/^( +)# (ports: .*mode: host.*)$/m, "$1$2"));
    await site.manager.run("stack", "rm", "site");
    for (const node of site.nodes) {
      await until(async () => await node.run("ps", "--all", "--quiet") === "", PATIENCE);
    }
    await site.deploy({ VERSION: "v1" }, examples.path);
    await site.allAnswer("V1");
    const rollout = await under(site.targets, async () => {
      const v2 = () => site.deploy({ VERSION: "v2" }, examples.path);
      assertStrictEquals(await site.update("site_haproxy", v2), "completed");
      await site.allAnswer("V2");
    });
    assertNoneFailed("v1 to v2 behind a port in host mode", rollout);
    const outcomes = await under(site.targets, async () => {
      await site.replace("site_binder");
      await site.replace("site_haproxy");
      await site.allAnswer("V2");
    });
    for (const { failures } of outcomes) assert(failures.length > 0, "no request failed");
  },
);
