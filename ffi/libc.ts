/** The one place that loads libc, on first use, so that importing this folder needs no permission. */

import { symbols } from "./symbols.ts";

type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];

const functions = {};
for (const name of Object.keys(symbols)) {
  Object.defineProperty(functions, name, { configurable: true, get: () => load(name) });
}

/**
 * The C library's functions. Each is looked up at its first use: Deno compiles a trampoline for every
 * symbol, and all of them together took a quarter of a short command's time.
 * @throws {Error} when this is not glibc 2.34 or newer, or the program runs without `--allow-ffi`
 */
export function libc(): Libc {
  return functions as Libc;
}

function load(name: string): unknown {
  try {
    const table = Object.fromEntries(Object.entries(symbols).filter(([key]) => key === name));
    const value = Deno.dlopen("libc.so.6", table).symbols[name];
    Object.defineProperty(functions, name, { value });
    return value;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`multibinder needs Linux with glibc 2.34 or newer: ${why}`, { cause: error });
  }
}
