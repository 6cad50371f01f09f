/**
 * What is used of `@std/cli`, whose copy on npm has no declarations. The names and meanings are the
 * library's own; its types tell more of the result than is needed here.
 *
 * A file of ambient declarations: an import or export at its top level would make it a module, and
 * the declarations would no longer be found.
 */
declare module "@std/cli/parse-args" {
  /** How the words are to be understood. */
  export interface ParseOptions {
    /** Names whose values are texts, never numbers or `true`. */
    string?: string | readonly string[];
    /** Names whose values are collected in a list. */
    collect?: string | readonly string[];
    /**
     * Told of each word that no name stands for, and of each that is no option, which has no key.
     * @returns false to leave it out of the result
     */
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }

  /** @returns values by the options' names */
  export function parseArgs(args: string[], options?: ParseOptions): Record<string, unknown>;
}
