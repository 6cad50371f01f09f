/** Text of others, shown to a person. */

/** Control characters, what ends a line for some, and what turns the direction of what follows. */
const STEERING = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const SHORT_ESCAPES: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Makes text one line that steers no terminal, whoever wrote it: a path, an answer, a variable can neither
 * forge a line of its own nor hide or move what stands beside it.
 */
export function escapeControls(text: string): string {
  return text.replace(
    STEERING,
    (character) =>
      SHORT_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
