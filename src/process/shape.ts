/**
 * Shapes of values that were read from JSON: each says what a value must be, and names the field that is not
 * so. Fields that a shape does not have are left out, so that a newer program may say more than an older one reads.
 * @module
 */

/**
 * Reads a value.
 * @param at the value's name, for the error
 * @throws {ShapeError} when it is not as it must be
 */
export type Shape<Value> = (value: unknown, at: string) => Value;

/** A value that is not what it must be. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";

  constructor(at: string, expected: string, value: unknown) {
    const found = value === undefined
      ? "it is missing"
      : `it is ${JSON.stringify(value)?.slice(0, 60)}`;
    super(`${at} must be ${expected}; ${found}`);
  }
}

/** Any text, or text that `accepts` takes. */
export function text(expected = "a text", accepts = (_: string) => true): Shape<string> {
  return (value, at) => {
    if (typeof value === "string" && accepts(value)) return value;
    throw new ShapeError(at, expected, value);
  };
}

/** A whole number. */
export function whole(least: number, most: number): Shape<number> {
  return (value, at) => {
    const isWhole = typeof value === "number" && Number.isInteger(value);
    if (isWhole && least <= value && value <= most) return value;
    throw new ShapeError(at, `a whole number from ${least} to ${most}`, value);
  };
}

/** A whole number that is not negative. */
export const natural: Shape<number> = whole(0, Number.MAX_SAFE_INTEGER);

/** True or false. */
export const truth: Shape<boolean> = (value, at) => {
  if (typeof value === "boolean") return value;
  throw new ShapeError(at, "true or false", value);
};

/** One of a few values. */
export function oneOf<const Value extends string | number | boolean | null>(
  ...values: Value[]
): Shape<Value> {
  return (value, at) => {
    const found = values.find((one) => one === value);
    if (found !== undefined) return found;
    throw new ShapeError(at, values.map((one) => JSON.stringify(one)).join(" or "), value);
  };
}

/** Either what `shape` reads, or null. */
export function orNull<Value>(shape: Shape<Value>): Shape<Value | null> {
  return (value, at) => value === null ? null : shape(value, at);
}

/** Either what `shape` reads, or nothing: the field is absent. */
export function orAbsent<Value>(shape: Shape<Value>): Shape<Value | undefined> {
  return (value, at) => value === undefined ? undefined : shape(value, at);
}

/** A list of at most `most` values that are alike. */
export function list<Value>(shape: Shape<Value>, most = Infinity): Shape<Value[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw new ShapeError(at, "a list", value);
    if (value.length > most) throw new ShapeError(at, `a list of at most ${most}`, value.length);
    return value.map((one, index) => shape(one, `${at}[${index}]`));
  };
}

/** An object whose names are data, and whose values are alike. */
export function table<Value>(shape: Shape<Value>): Shape<Record<string, Value>> {
  return (value, at) =>
    Object.fromEntries(
      Object.entries(objectAt(value, at)).map(([name, one]) => [
        name,
        shape(one, `${at}[${JSON.stringify(name)}]`),
      ]),
    );
}

/** An object of single values, by whatever names. */
export const record: Shape<Record<string, string | number | boolean>> = (value, at) => {
  const given = Object.entries(objectAt(value, at));
  for (const [name, one] of given) {
    if (!["string", "number", "boolean"].includes(typeof one)) {
      throw new ShapeError(`${at}.${name}`, "a text, a number, or true or false", one);
    }
  }
  return Object.fromEntries(given) as Record<string, string | number | boolean>;
};

/** An object: a shape for each of its fields, the optional ones included. */
export function object<Value extends object>(
  shapes: { [Name in keyof Value]-?: Shape<Value[Name]> },
): Shape<Value> {
  const fields = Object.entries<Shape<unknown>>(shapes);
  return (value, at) => {
    const given = objectAt(value, at);
    const result: Record<string, unknown> = {};
    for (const [name, shape] of fields) {
      const one = Object.hasOwn(given, name) ? given[name] : undefined;
      const read = shape(one, at === "" ? name : `${at}.${name}`);
      if (read !== undefined) result[name] = read;
    }
    // Each field was read by its own shape.
    return result as Value;
  };
}

function objectAt(value: unknown, at: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new ShapeError(at === "" ? "it" : at, "an object", value);
}
