/** Loads libc's functions before the first test, which Deno would else blame for a library left open. */

import { libc } from "../../ffi/libc.ts";

Object.values(Object.getOwnPropertyDescriptors(libc())).forEach(({ get }) => get?.());
