/** Another program that acts between two system calls of ours. */

/** The synchronous calls of Deno's that code under test makes on files. */
type FileCall = "renameSync" | "lstatSync" | "chownSync" | "removeSync";

/**
 * Runs `act` right before the next call of a function; the function is itself again from then on, and
 * in any case at the end of the scope.
 */
export function justBefore(name: FileCall, act: () => void): Disposable {
  const original = Object.getOwnPropertyDescriptor(Deno, name) ?? {};
  const restore = () => Object.defineProperty(Deno, name, original);
  const call: (...args: never[]) => unknown = Deno[name];
  Object.defineProperty(Deno, name, {
    ...original,
    value: (...args: never[]) => {
      restore();
      act();
      return call(...args);
    },
  });
  return { [Symbol.dispose]: restore };
}
