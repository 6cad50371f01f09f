/**
 * What is used of `@std/text`, whose copy on npm has no declarations. The signatures are the library's own.
 *
 * A file of ambient declarations: an import or export at its top level would make it a module, and
 * the declarations would no longer be found.
 */
declare module "@std/text/closest-string" {
  /** @throws {TypeError} when there are no words */
  export function closestString(givenWord: string, possibleWords: readonly string[]): string;
}

declare module "@std/text/levenshtein-distance" {
  /** How many characters must be put in, taken out or exchanged to make one text of the other. */
  export function levenshteinDistance(str1: string, str2: string): number;
}
