import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FramingError, MessageSplitter } from "./framing.ts";

const encode = (text: string) => new Uint8Array(new TextEncoder().encode(text));

const objects = fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue({ maxDepth: 4 }))
  .map((value) => JSON.stringify(value));
const space = fc.string({ unit: fc.constantFrom(" ", "\n", "\r", "\t"), maxLength: 3 });
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });

/** Cuts bytes into pieces of the sizes, over and over. */
function* pieces(bytes: Uint8Array<ArrayBuffer>, sizes: readonly number[]) {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + (sizes[turn % sizes.length] ?? 1);
    yield bytes.slice(at, end);
    at = end;
  }
}

/** Every message that the splitter has ready. */
function drain(splitter: MessageSplitter): string[] {
  const messages: string[] = [];
  for (let next = splitter.next(); next !== undefined; next = splitter.next()) messages.push(next);
  return messages;
}

Deno.test("messages come out as they went in, however the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(space, objects)), space, sizes, (parts, end, sizes) => {
      const splitter = new MessageSplitter();
      const received: string[] = [];
      for (const piece of pieces(encode(parts.flat().join("") + end), sizes)) {
        splitter.push(piece);
        received.push(...drain(splitter));
      }
      assertEquals(received, parts.map(([, message]) => message));
      assertEquals(splitter.pending, new Uint8Array());
    }),
    { numRuns: 500 },
  );
});

Deno.test("another splitter goes on from the bytes pending", () => {
  fc.assert(
    fc.property(fc.array(objects, { minLength: 1 }), sizes, (messages, sizes) => {
      let splitter = new MessageSplitter();
      const received: string[] = [];
      for (const piece of pieces(encode(messages.join("\n")), sizes)) {
        splitter = new MessageSplitter(undefined, splitter.pending.slice());
        splitter.push(piece);
        received.push(...drain(splitter));
      }
      assertEquals(received, messages);
    }),
  );
});

Deno.test("garbage ends with a framing error or waits for more", () => {
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.string({ unit: fc.constantFrom(...'{}[]"\\:, \n\0é') }).map(encode),
    fc.uint8Array({ maxLength: 50 }).map((bytes) => new Uint8Array([0x7b, ...bytes, 0x7d])),
  );
  fc.assert(
    fc.property(garbage, sizes, (bytes, sizes) => {
      const splitter = new MessageSplitter(100);
      try {
        for (const piece of pieces(bytes, sizes)) {
          splitter.push(piece);
          for (const message of drain(splitter)) assertMatch(message, /^\{[^]*\}$/);
        }
      } catch (error) {
        assert(error instanceof FramingError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("braces in strings do not count", () => {
  const messages = [String.raw`{"a":"}{\"}\\"}`, '{"b":{"c":[{}]}}'];
  const splitter = new MessageSplitter();
  splitter.push(encode(messages.join("")));
  assertEquals(drain(splitter), messages);
});

Deno.test("what begins no object is refused at its first byte", () => {
  for (const text of ["[", '"', "GET / HTTP/1.1", "\0", "\ufeff{}", "null", "}"]) {
    const splitter = new MessageSplitter();
    splitter.push(encode(` \n${text}`).slice(0, 3));
    assertThrows(() => splitter.next(), FramingError, undefined, text);
  }
});

Deno.test("a message that is not UTF-8 is refused", () => {
  const splitter = new MessageSplitter();
  splitter.push(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]));
  assertThrows(() => splitter.next(), FramingError, /^message is not UTF-8$/);
});

Deno.test("one message is bounded, a stream of them is not", () => {
  const longest = `{"a":"${"x".repeat(92)}"}`;
  const splitter = new MessageSplitter(longest.length);
  splitter.push(encode(`${longest.repeat(50)}\n${" ".repeat(1000)}`));
  assertStrictEquals(drain(splitter).length, 50);

  splitter.push(encode(longest.slice(0, -1)));
  assertStrictEquals(splitter.next(), undefined);
  splitter.push(encode("  }"));
  assertThrows(() => splitter.next(), FramingError, /^message longer than 100 bytes$/);
});

Deno.test("a message that does not end is refused once it is too long", () => {
  const splitter = new MessageSplitter(100);
  splitter.push(encode("{".repeat(100)));
  assertStrictEquals(splitter.next(), undefined);
  splitter.push(encode("{"));
  assertThrows(() => splitter.next(), FramingError);
});
