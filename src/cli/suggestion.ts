/** What a misspelt word may have been meant to be. */

import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";

/**
 * Suggests one of the words that there are.
 * @returns a question to be put behind the error; empty when the closest one differs in more than half its letters
 */
export function suggest(word: string, known: readonly string[]): string {
  const closest = closestString(word, known);
  const letters = closest.replace(/^-+/, "").length;
  return levenshteinDistance(word, closest) * 2 <= letters ? `; did you mean ${closest}?` : "";
}
