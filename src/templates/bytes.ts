/**
 * The bytes of templates and configs as text and back, so that a comment in Latin-1 comes out as it went
 * in. A byte that is no UTF-8 becomes a lone surrogate from U+DC80 on, which no UTF-8 can give; Python's
 * "surrogateescape" (PEP 383) is the same.
 */

const BASE = 0xdc00;

/** One character of UTF-8 or, last, a byte that is none (the Unicode Standard, table 3-7). */
const CHARACTER = new RegExp(
  [
    "[\\x00-\\x7f]+",
    "[\\xc2-\\xdf][\\x80-\\xbf]",
    "\\xe0[\\xa0-\\xbf][\\x80-\\xbf]",
    "[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}",
    "\\xed[\\x80-\\x9f][\\x80-\\xbf]",
    "\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}",
    "[\\xf1-\\xf3][\\x80-\\xbf]{3}",
    "\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2}",
    "([\\x80-\\xff])",
  ].join("|"),
  "g",
);

/** Reads any bytes as text. A byte order mark is kept. */
export function decode(bytes: Uint8Array): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return decoder.decode(bytes);
  } catch {
    const text = [...bytes].map((byte) => String.fromCharCode(byte)).join("");
    return text.replace(
      CHARACTER,
      (character, alone?: string) =>
        alone === undefined
          ? decoder.decode(Uint8Array.from(character, (each) => each.charCodeAt(0)))
          : String.fromCharCode(BASE + alone.charCodeAt(0)),
    );
  }
}

/** The bytes that {@link decode} gave a text for. Another lone surrogate becomes U+FFFD. */
export function encode(text: string): Uint8Array {
  const encoder = new TextEncoder();
  if (text.isWellFormed()) return encoder.encode(text);
  const parts = text.split(/([\udc80-\udcff])/u).map((part, index) =>
    index % 2 === 0 ? encoder.encode(part) : Uint8Array.of(part.charCodeAt(0) - BASE)
  );
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
