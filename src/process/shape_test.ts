import { assertEquals, assertObjectMatch, assertThrows } from "@std/assert";
import {
  list,
  object,
  oneOf,
  orAbsent,
  orNull,
  type Shape,
  table,
  text,
  truth,
  whole,
} from "./shape.ts";

interface Everything {
  name: string;
  count: number;
  is: boolean;
  kind: "a" | 1;
  list: string[];
  table: Record<string, number>;
  nothing: string | null;
  maybe?: string;
}

const everything: Shape<Everything> = object<Everything>({
  name: text("a name", (one) => one !== ""),
  count: whole(1, 3),
  is: truth,
  kind: oneOf<"a" | 1>("a", 1),
  list: list(text()),
  table: table(whole(0, 9)),
  nothing: orNull(text()),
  maybe: orAbsent(text()),
});

const GOOD: Everything = {
  name: "x",
  count: 3,
  is: false,
  kind: 1,
  list: ["y"],
  table: { z: 9 },
  nothing: null,
};

Deno.test("what fits is read, and what is not described is left out", () => {
  assertEquals(everything(GOOD, ""), GOOD);
  assertEquals(everything({ ...GOOD, maybe: "m", more: 1 }, ""), { ...GOOD, maybe: "m" });
});

Deno.test("what does not fit is named, with what is expected and what was found", () => {
  const refused: [value: unknown, message: string][] = [
    [[], "it must be an object; it is []"],
    [undefined, "it must be an object; it is missing"],
    [{ ...GOOD, name: "" }, 'name must be a name; it is ""'],
    [{ ...GOOD, count: 4 }, "count must be a whole number from 1 to 3; it is 4"],
    [{ ...GOOD, is: 0 }, "is must be true or false; it is 0"],
    [{ ...GOOD, kind: "1" }, 'kind must be "a" or 1; it is "1"'],
    [{ ...GOOD, list: ["y", 1] }, "list[1] must be a text; it is 1"],
    [{ ...GOOD, list: {} }, "list must be a list; it is {}"],
    [
      { ...GOOD, table: { "a b": -1 } },
      'table["a b"] must be a whole number from 0 to 9; it is -1',
    ],
    [{ ...GOOD, nothing: undefined }, "nothing must be a text; it is missing"],
    [{ ...GOOD, maybe: null }, "maybe must be a text; it is null"],
    [Object.create(GOOD), "name must be a name; it is missing"],
  ];
  for (const [value, message] of refused) {
    assertObjectMatch(assertThrows(() => everything(value, ""), Error), { message });
  }
});
