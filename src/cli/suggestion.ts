/** What a misspelt word may have been meant to be. */

import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";

/**
 * Suggests one of the words that there are.
 * @returns a question to be put behind the error; nothing when none is at least half the same
 */
export function suggest(word: string, known: readonly string[]): string {
  const closest = closestString(word, known);
  const letters = closest.replace(/^-+/, "").length;
  return levenshteinDistance(word, closest) * 2 <= letters ? `; did you mean ${closest}?` : "";
}
