/** Functions of libc that fail. */

import { libc } from "../../ffi/libc.ts";

/**
 * Lets the next call of a function fail; the function is itself again from then on.
 * @param errno what it fails with
 * @param then runs once it has failed
 */
export function failOnce(name: "accept4" | "poll", errno: number, then = () => {}): void {
  const original = libc()[name];
  const define = (value: unknown) =>
    Object.defineProperty(libc(), name, { configurable: true, value });
  define(() => {
    define(original);
    then();
    const location = libc().__errno_location();
    if (location === null) throw new Error("no errno");
    new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location, 4))[0] = errno;
    return -1;
  });
}
