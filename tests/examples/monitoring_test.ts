/** The monitoring example, against what a binder and a wrapper really tell, with Prometheus's own tools. */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { startBinder } from "../support/binder.ts";
import { site, startWrapper, tag } from "../support/haproxy.ts";
import { addressOf, newTarget } from "../support/http_client.ts";
import { printedMetrics } from "../support/metrics.ts";
import { runProgram, startProgram } from "../support/program.ts";
import { tempDir } from "../support/temp_dir.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const EXAMPLE = `${ROOT}examples/monitoring/`;

/** How long Prometheus may take to start and to scrape, in milliseconds. */
const PATIENCE = 30_000;

interface Dashboard {
  panels: { title: string; targets: { expr: string }[] }[];
  annotations: { list: { expr: string }[] };
  templating: { list: { query: string }[] };
}

const dashboard: Dashboard = JSON.parse(Deno.readTextFileSync(`${EXAMPLE}grafana.json`));

/** Every query of the dashboard, its variables filled in. */
function queries(): string[] {
  const targets = dashboard.panels.flatMap((panel) => panel.targets);
  return [...targets, ...dashboard.annotations.list]
    .map(({ expr }) => expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "1m"));
}

/** A binder and a wrapper that tell their metrics, and have something to tell. */
async function withMultibinder(
  test: (targets: { binder: string; wrapper: string }, text: string) => Promise<void>,
): Promise<void> {
  const [target, binderTarget, wrapperTarget] = [newTarget(), newTarget(), newTarget()];
  await using binder = await startBinder([addressOf(target)], {
    args: ["--metrics", addressOf(binderTarget)],
  });
  await using wrapper = await startWrapper(site(tag(target), "ok"), {
    sock: binder.sock,
    args: ["--metrics", addressOf(wrapperTarget)],
  });
  // A last upgrade, so that every metric has a value.
  wrapper.program.signal("SIGUSR1");
  await wrapper.waitFor(({ upgrades }) => upgrades === 1);
  const text = await printedMetrics(binder.sock) + await printedMetrics(wrapper.control);
  await test({ binder: addressOf(binderTarget), wrapper: addressOf(wrapperTarget) }, text);
}

/** The names of metrics in a text: of queries, of rules, of a page. */
function namesIn(text: string): Set<string> {
  const names = [...text.matchAll(/\bmultibinder_\w+/g)].map(([name]) => name);
  return new Set(names.map((name) => name.replace(/_(bucket|sum|count)$/, "")));
}

async function promtool(...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await runProgram(["promtool", ...args]);
  assertStrictEquals(code, 0, stdout + stderr);
}

Deno.test("the metrics are in order, and those that the example and the page name exist", async () => {
  await withMultibinder(async (_, text) => {
    // The two roles have some metrics in common, and a text has each once.
    for (const role of ["binder", "wrapper"]) {
      const start = text.lastIndexOf("# HELP multibinder_build_info");
      const one = role === "binder" ? text.slice(0, start) : text.slice(start);
      await using tool = startProgram(["promtool", "check", "metrics"], { stdin: "piped" });
      await tool.write(one);
      await tool.closeInput();
      assertStrictEquals((await tool.exited).code, 0, tool.stdout + tool.stderr);
      assertStrictEquals(tool.stdout + tool.stderr, "", "not even advice");
    }
    const existing = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name = ""]) => name));
    assert(existing.size > 15, `${existing.size} metrics`);
    const rules = Deno.readTextFileSync(`${EXAMPLE}multibinder.rules.yml`);
    const used = namesIn(`${JSON.stringify(dashboard)}\n${rules}`);
    assertEquals([...used].filter((name) => !existing.has(name)), []);
    const page = namesIn(Deno.readTextFileSync(`${ROOT}docs/monitoring.md`));
    assertEquals([...existing].filter((name) => !page.has(name)), [], "each is documented");
    assertEquals(
      [...page].filter((name) => !existing.has(name)),
      [],
      "each that is documented exists",
    );
  });
});

Deno.test("the scrape config and the alerts are right, and alarm when they are to", async () => {
  await promtool("check", "config", `${EXAMPLE}prometheus.yml`);
  await promtool("test", "rules", `${EXAMPLE}multibinder.rules.test.yml`);
  const rules = Deno.readTextFileSync(`${EXAMPLE}multibinder.rules.yml`);
  const tested = Deno.readTextFileSync(`${EXAMPLE}multibinder.rules.test.yml`);
  const alerts = [...rules.matchAll(/alert: (\w+)/g)].map(([, name = ""]) => name);
  const without = alerts.filter((name) =>
    !new RegExp(`alertname: ${name}\\n[^]*?exp_alerts:\\n +- exp_labels`).test(tested)
  );
  assertEquals([alerts.length > 5, without], [true, []], "each alert is seen to fire");
});

Deno.test("Prometheus scrapes both roles, and answers every query of the dashboard", async () => {
  await withMultibinder(async ({ binder, wrapper }) => {
    using folder = tempDir();
    Deno.copyFileSync(`${EXAMPLE}multibinder.rules.yml`, folder.file("multibinder.rules.yml"));
    const config = Deno.readTextFileSync(`${EXAMPLE}prometheus.yml`)
      .replaceAll("15s", "1s").replaceAll("127.0.0.1:9601", binder)
      .replaceAll("127.0.0.1:9602", wrapper);
    Deno.writeTextFileSync(folder.file("prometheus.yml"), config);
    const { hostname, port } = newTarget();
    await using prometheus = startProgram([
      "prometheus",
      `--config.file=${folder.file("prometheus.yml")}`,
      `--storage.tsdb.path=${folder.file("data")}`,
      `--web.listen-address=${hostname}:${port}`,
    ]);
    const ask = async (query: string): Promise<{ metric: Record<string, string> }[]> => {
      const url = `http://${hostname}:${port}/api/v1/query?query=${encodeURIComponent(query)}`;
      const { status, error, data } = await (await fetch(url)).json();
      assertStrictEquals(status, "success", `${query}: ${error}`);
      return data.result;
    };
    const scraped = async () => {
      const found = await ask("multibinder_build_info").catch(() => []);
      return found.map(({ metric }) => `${metric.role} ${metric.instance}`).sort();
    };
    const wanted = [`binder ${binder}`, `wrapper ${wrapper}`];
    const deadline = performance.now() + PATIENCE;
    while (`${await scraped()}` !== `${wanted}`) {
      if (prometheus.ended || performance.now() > deadline) {
        throw new Error(`not scraped: ${await scraped()}\n${prometheus.stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assertEquals((await ask('up{job="multibinder"} == 1')).length, 2);
    for (const query of queries()) await ask(query);
  });
});
