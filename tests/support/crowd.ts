/** Many clients at once, and an honest one among them. */

import { assert, assertStrictEquals } from "@std/assert";
import type { Binder } from "./binder.ts";
import { ControlConnection } from "./control_client.ts";

/** How long an honest client may have to wait for its answer among hostile ones, in milliseconds, on any machine. */
export const PROMPT = 10_000;

/** Opens connections that say `text` and nothing more. They are closed at the end of the scope. */
export async function crowd(
  { sock }: Binder,
  count: number,
  text: string | Uint8Array = "",
): Promise<DisposableStack & { readonly connections: ControlConnection[] }> {
  using clients = new DisposableStack();
  const connections: ControlConnection[] = [];
  for (let index = 0; index < count; index++) {
    const connection = clients.use(await ControlConnection.open(sock));
    connections.push(connection);
    if (text.length > 0) await connection.send(text).catch(ignoreReset);
  }
  return Object.assign(clients.move(), { connections });
}

/** Asserts that a client which connects now, and one that is connected, are served without delay. */
export async function isServed(
  binder: Binder,
  address: string,
  kept?: ControlConnection,
  which: "both" | "kept alone" = "both",
): Promise<void> {
  const start = performance.now();
  if (which === "both") {
    using fresh = await ControlConnection.open(binder.sock);
    assertStrictEquals((await fresh.bind({ address, port: 80 }))?.result, true);
  }
  if (kept) assertStrictEquals((await kept.bind({ address, port: 80 }))?.result, true);
  const took = performance.now() - start;
  assert(took < PROMPT, `an honest client waited for ${Math.round(took)} ms`);
}

/** The binder may have closed the connection before it had read everything. */
export function ignoreReset(error: unknown): undefined {
  if (error instanceof Deno.errors.BrokenPipe) return;
  if (error instanceof Deno.errors.ConnectionReset) return;
  throw error;
}
