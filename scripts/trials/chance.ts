/** Random numbers that a seed repeats, and the lines that a trial prints. */

const begin = performance.now();

/** A random number generator with a seed (mulberry32): uniform in [0, 1). */
export function generator(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed for a run that names none. */
export function anySeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** Milliseconds since the start. */
export function elapsed(): number {
  return performance.now() - begin;
}

/** Prints a line with the time since the start. */
export function print(text: string): void {
  const at = (elapsed() / 1000).toFixed(1).padStart(6);
  Deno.stdout.writeSync(new TextEncoder().encode(`${at}s  ${text}\n`));
}
