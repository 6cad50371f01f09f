/**
 * What of a template's values may become text. JavaScript has a text for everything, and a config
 * with "undefined" or "[object Object]" in it would be a puzzle.
 */

/** A value that is no text was printed, or joined to one. */
export class Unprintable extends TypeError {
  /**
   * @param value what it was
   * @param source the code that gave it, as written
   */
  constructor(readonly value: unknown, readonly source: string) {
    super(`${excerpt(source)} gives ${kindOf(value)}`);
  }
}

/** The checks that {@link instrument} puts into a template's code. Each names the code it checks. */
export interface Checks {
  /** `value` as text, for `<%= %>` and `${}`. */
  text(value: unknown, source: number): string;
  /** `left + right`, which is text if either is. */
  add(left: unknown, right: unknown, leftSource: number, rightSource: number): unknown;
  /** The list of `list.join()`, which takes what is missing for an empty text. */
  list<T>(value: T, source: number): T;
  /** What a function makes text of: nothing that is missing. */
  given<T>(value: T, source: number): T;
}

/** @param sources the code that each number stands for */
export function checksOf(sources: readonly string[]): Checks {
  const refuse = (value: unknown, source: number) => new Unprintable(value, sources[source] ?? "");
  const text = (value: unknown, source: number): string => {
    if (!isPrintable(value)) throw refuse(value, source);
    return String(value);
  };
  return {
    text,
    add(left, right, leftSource, rightSource) {
      if (isMissing(left)) throw refuse(left, leftSource);
      if (isMissing(right)) throw refuse(right, rightSource);
      // As the language's own +, which is why the types do not matter.
      const sum = left as string + (right as string);
      if (typeof sum === "string") {
        text(left, leftSource);
        text(right, rightSource);
      }
      return sum;
    },
    list(value, source) {
      // Only a list can be relied on to have join print its elements.
      if (Array.isArray(value) && !isPrintable(value)) throw refuse(value, source);
      return value;
    },
    given(value, source) {
      if (isMissing(value) || Number.isNaN(value)) throw refuse(value, source);
      return value;
    },
  };
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null;
}

/** Whether a value has a text that somebody may mean: a list has one if each of its elements does. */
function isPrintable(value: unknown): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "bigint":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      if (value === null || value instanceof Promise) return false;
      if (Array.isArray(value)) return [...value].every(isPrintable); // a hole is undefined
      return hasText(value);
    default:
      return false;
  }
}

/** Whether an object has a text of its own, as a date or a URL does. */
function hasText(value: object): boolean {
  try {
    return !/^\[object .*\]$|^Invalid Date$/.test(String(value));
  } catch {
    return false; // it has no prototype
  }
}

function kindOf(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (value instanceof Promise) return "a promise";
  if (Array.isArray(value)) {
    return `a list with ${kindOf([...value].find((each) => !isPrintable(each)))}`;
  }
  if (value instanceof Date) return "an invalid date";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "number" ? `no number (${value})` : String(value);
}

/** Code or text on one line, and not too long for a message. */
export function excerpt(source: string, limit = 100): string {
  const text = source.replace(/\s+/g, " ").trim();
  return text.length > limit ? `${text.slice(0, limit - 3)}...` : text;
}
