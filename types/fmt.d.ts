/**
 * What is used of `@std/fmt`, whose copy on npm has no declarations. The signatures are the library's
 * own, so that its types can take their place.
 *
 * A file of ambient declarations: an import or export at its top level would make it a module, and
 * the declarations would no longer be found.
 */

/** Colours for a terminal. Where NO_COLOR is set, every function gives its text back as it is. */
declare module "@std/fmt/colors" {
  /** Does nothing where NO_COLOR is set. */
  export function setColorEnabled(value: boolean): void;

  export function bold(str: string): string;
  export function dim(str: string): string;
  export function red(str: string): string;
  export function green(str: string): string;
  export function yellow(str: string): string;
  export function cyan(str: string): string;
  export function stripAnsiCode(string: string): string;
}

declare module "@std/fmt/duration" {
  /**
   * Gives a duration as in `1m 30s`.
   * @param ms milliseconds; the smallest unit is a nanosecond
   * @param options `ignoreZero`: whether units without a value are left out, which of 0 leaves nothing
   */
  export function format(ms: number, options?: { ignoreZero?: boolean }): string;
}

declare module "@std/fmt/bytes" {
  /**
   * Gives a number of bytes, rounded to three digits, as in `1.34 MB`.
   * @param options `binary`: whether the units are powers of 1024: `KiB`, not `kB`
   */
  export function format(num: number, options?: { binary?: boolean }): string;
}
