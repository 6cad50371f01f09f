/** Escaping text that somebody else wrote, before a person sees it. */

/** Control characters, Unicode's separators of lines, and characters that change the direction of text. */
const STEERING = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const SHORT_ESCAPES: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Makes one line of a text, without anything that controls a terminal. So a path, an answer or a variable, whoever
 * wrote it, can neither forge a line of its own nor hide or move what stands beside it.
 */
export function escapeControls(text: string): string {
  return text.replace(
    STEERING,
    (character) =>
      SHORT_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
