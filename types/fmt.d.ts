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
  export interface FormatOptions {
    /** `narrow`, the default: `1m 30s`; `full`: `1 minute, 30 seconds`; `digital`: `00:00:01:30` */
    style?: "narrow" | "digital" | "full";
    /** Whether units without a value are left out; of 0 nothing is left then. */
    ignoreZero?: boolean;
  }

  /** @param ms milliseconds; the smallest unit is a nanosecond */
  export function format(ms: number, options?: FormatOptions): string;
}

declare module "@std/fmt/bytes" {
  export interface FormatOptions {
    bits?: boolean;
    /** Whether the units are powers of 1024: `KiB`, not `kB`. */
    binary?: boolean;
    signed?: boolean;
    locale?: boolean | string | string[];
    minimumFractionDigits?: number;
    maximumFractionDigits?: number;
  }

  /** Rounds to three digits, unless told how many decimals there are: `1.34 MB`. */
  export function format(num: number, options?: FormatOptions): string;
}
