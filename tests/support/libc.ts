/** Compiles libc's functions before the first test, which Deno would else blame for a library left open. */

import { addressOfFunction, compile, libc } from "../../ffi/libc.ts";

Object.keys(Object.getOwnPropertyDescriptors(libc())).forEach((name) =>
  compile(name as keyof ReturnType<typeof libc>)
);
addressOfFunction("sleep");
