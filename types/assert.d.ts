/**
 * What the tests use of `@std/assert`, whose copy on npm has no declarations. The signatures are the
 * library's own, so that its types can take their place.
 *
 * A file of ambient declarations: an import or export at its top level would make it a module, and
 * the declarations would no longer be found.
 */
declare module "@std/assert" {
  type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

  export function assert(expr: unknown, msg?: string): asserts expr;
  export function fail(msg?: string): never;

  /** Compares by value; `undefined` in a field is not the field's absence. */
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;

  /** Compares as `Object.is` does. */
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    msg?: string,
  ): asserts actual is T;
  export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void;

  export function assertMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;

  /** Whether `actual` has the fields of `expected`; those of its prototypes do not count. */
  export function assertObjectMatch(
    actual: object,
    expected: Record<PropertyKey, unknown>,
    msg?: string,
  ): void;

  /** Returns what was thrown. `message` is a part of the error's message, or matches it. */
  export function assertThrows(fn: () => unknown, msg?: string): unknown;
  export function assertThrows<E extends Error>(
    fn: () => unknown,
    errorClass: ErrorClass<E>,
    message?: string | RegExp,
    msg?: string,
  ): E;

  /** Like `assertThrows`, for what a promise is rejected with. */
  export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
  export function assertRejects<E extends Error>(
    fn: () => PromiseLike<unknown>,
    errorClass: ErrorClass<E>,
    message?: string | RegExp,
    msg?: string,
  ): Promise<E>;
}
