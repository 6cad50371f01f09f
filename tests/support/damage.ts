/** What may be wrong with a value in JSON: each part of it absent, or of another type. */

/** A damaged copy. */
export interface Damage {
  /** The part, such as `held[0].fd`. */
  at: string;
  /** What stands there instead; undefined where it is absent. */
  instead: unknown;
  json: string;
}

/** One value of each type, and numbers that are no count of anything. */
const OTHERS = [null, true, "a text", -2, 0.5, 1e300, [], {}, ["x"], { x: 1 }];

/** Every part of a value, damaged in every way, one at a time. */
export function* damages(whole: object): Generator<Damage> {
  for (const path of pathsIn(whole)) {
    const last = path.at(-1) ?? "";
    const original = parentOf(whole, path)[last];
    const others = OTHERS.filter((other) =>
      typeof other === "number" || kindOf(other) !== kindOf(original)
    );
    for (const instead of [undefined, ...others]) {
      const copy = structuredClone(whole);
      const parent = parentOf(copy, path);
      // An element of a list that is taken out leaves a shorter list, which is whole.
      if (instead === undefined && Array.isArray(parent)) continue;
      if (instead === undefined) delete parent[last];
      else parent[last] = instead;
      yield { at: written(whole, path), instead, json: JSON.stringify(copy) };
    }
  }
}

type Parent = Record<string, unknown>;

function* pathsIn(value: unknown, before: string[] = []): Generator<string[]> {
  if (typeof value !== "object" || value === null) return;
  for (const [name, one] of Object.entries(value)) {
    const path = [...before, name];
    yield path;
    yield* pathsIn(one, path);
  }
}

function parentOf(whole: object, path: readonly string[]): Parent {
  return path.slice(0, -1).reduce((value, name) => value[name] as Parent, whole as Parent);
}

function written(whole: object, path: readonly string[]): string {
  return path.reduce((text, name, depth) => {
    const isElement = Array.isArray(parentOf(whole, path.slice(0, depth + 1)));
    if (isElement) return `${text}[${name}]`;
    if (!/^\w+$/.test(name)) return `${text}[${JSON.stringify(name)}]`;
    return text === "" ? name : `${text}.${name}`;
  }, "");
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
}
