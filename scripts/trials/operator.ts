/**
 * An operator's evening: a real systemd with the units as shipped, new connections all the time, and at random
 * what operators do to a host, slips included. Started by scripts/soak.sh with the minutes and the seed; fails with
 * the first thing after which the host does not serve on the same sockets, and with the first lost connection.
 */

import { Load } from "../../tests/support/http_client.ts";
import { until } from "../../tests/support/process_status.ts";
import { DEEDS, isBack, reloads } from "../../tests/systemd/deeds.ts";
import { BINDER, Host } from "../../tests/systemd/host.ts";
import { anySeed, elapsed, generator, print } from "./chance.ts";

const CLIENTS = 4;

const minutes = Number(Deno.args[0]);
const seed = Number(Deno.args[1] ?? anySeed());
const random = generator(seed);
const counts = new Map<string, number>();
let served = 0;
let cut = 0;

/** Does one thing to a host under load, and insists that it comes back. */
async function perform(host: Host, what: string, sockets: readonly number[]): Promise<void> {
  const deed = DEEDS[what];
  if (deed === undefined) throw new Error(`no deed "${what}"`);
  await using load = new Load(host.target, { workers: CLIENTS });
  await deed.act(host);
  await isBack(host, sockets);
  const text = `V${counts.size}-${served}`;
  await reloads(host, text);
  await until(() => load.outcome.replies.has(text));
  const { ok, failures } = await load.stop();
  served += ok;
  if (deed.cuts) cut += failures.length;
  else if (failures.length > 0) throw new Error(`${what}: lost ${failures.join(", ")}`);
  counts.set(what, (counts.get(what) ?? 0) + 1);
  print(`${what}: ${ok} ok, ${failures.length} cut`);
}

print(`an operator's ${minutes} minutes, seed ${seed}`);
const names = Object.keys(DEEDS);
{
  await using host = await Host.serving("V0");
  const sockets = await host.listening(BINDER);
  const { journal } = host;
  try {
    for (let left: string[] = []; elapsed() < minutes * 60_000;) {
      // Each once before any comes again.
      if (left.length === 0) left = [...names];
      const [what = ""] = left.splice(Math.floor(random() * left.length), 1);
      await perform(host, what, sockets);
    }
  } catch (error) {
    print(`the end of the journal:\n${journal.stdout.slice(-6000)}`);
    print(`FAILED (seed ${seed}): ${error instanceof Error ? error.stack : String(error)}`);
    Deno.exitCode = 1;
  }
}
for (const [what, times] of [...counts].sort()) print(`${String(times).padStart(4)} ${what}`);
print(
  `${served} connections served, ${cut} that a killed HAProxy had accepted were cut; ` +
    `${Deno.exitCode ? "FAILED" : "nothing lost"}`,
);
