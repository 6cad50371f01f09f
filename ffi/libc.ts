/** The one place that loads libc, on first use, so that importing this folder needs no permission. */

import { symbols } from "./symbols.ts";

type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];
type Name = keyof Libc;

/**
 * After how many calls of a function its trampoline is compiled. Deno compiles one for whatever is looked up as
 * a function: a call takes 0.2 us with it and 2 us without, and compiling takes as long as a hundred calls. A
 * short command calls many functions, each of them a few times.
 */
const OFTEN = 200;

const functions = {};
for (const name of Object.keys(symbols) as Name[]) {
  const get = () => define(name, uncompiled(name));
  Object.defineProperty(functions, name, { configurable: true, get });
}

/**
 * The C library's functions, each looked up at its first use.
 * @throws {Error} when this is not glibc 2.34 or newer, or the program runs without `--allow-ffi`
 */
export function libc(): Libc {
  return functions as Libc;
}

/** Makes the calls of a function fast; for one that is called often this happens by itself. */
export function compile(name: Name): void {
  define(name, open({ [name]: symbols[name] })[name]);
}

const addresses = new Map<string, Deno.PointerObject>();

/** The address of a function, for C to call. */
export function addressOfFunction(name: string): Deno.PointerObject {
  const known = addresses.get(name);
  if (known) return known;
  // Looked up as a variable, a symbol is its address.
  const found = open({ [name]: { name, type: "pointer" } })[name] as Deno.PointerObject;
  addresses.set(name, found);
  return found;
}

function uncompiled(name: Name): (...args: never[]) => unknown {
  const definition: Deno.ForeignFunction & { name?: string } = symbols[name];
  const address = addressOfFunction(definition.name ?? name);
  const pointer = new Deno.UnsafeFnPointer(address as Deno.PointerObject<never>, definition);
  let calls = 0;
  return (...args) => {
    if (++calls === OFTEN) compile(name);
    return pointer.call(...args);
  };
}

function open<Table extends Deno.ForeignLibraryInterface>(table: Table) {
  try {
    return Deno.dlopen("libc.so.6", table).symbols;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`multibinder needs Linux with glibc 2.34 or newer: ${why}`, { cause: error });
  }
}

function define<Value>(name: Name, value: Value): Value {
  Object.defineProperty(functions, name, { configurable: true, value });
  return value;
}
