/**
 * Cutting a byte stream into JSON objects.
 *
 * Our own messages end in a newline. The original's clients send an object and nothing after it, so a
 * message ends where its outermost brace closes, and white space between messages is skipped.
 * @module
 */

/** Bytes of one message at most, where nothing else is said: some 10,000 addresses. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Sizes of the buffers for messages. A few buffers are used again and again, or each would be garbage for long. */
const SIZES = [4096, 65_536, 262_144, 1_048_576 + 65_536];
/** How many of each size are kept. */
const SPARES = 4;

const spare = new Map<number, Uint8Array<ArrayBuffer>[]>(SIZES.map((size) => [size, []]));

function room(length: number): Uint8Array<ArrayBuffer> {
  const size = SIZES.find((size) => size >= length) ?? 2 * length;
  return spare.get(size)?.pop() ?? new Uint8Array(size);
}

function release(bytes: Uint8Array<ArrayBuffer>): void {
  const same = spare.get(bytes.length);
  if (same && same.length < SPARES) same.push(bytes);
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** The stream cannot be cut into messages any further. */
export class FramingError extends Error {
  override readonly name = "FramingError";
}

const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Collects bytes and gives out whole messages. */
export class MessageSplitter {
  /** Its first `#length` bytes are in use. It grows by doubling, or a byte at a time would be slow. */
  #bytes: Uint8Array<ArrayBuffer>;
  #length: number;
  /** How far the bytes were looked at. */
  #scanned = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /**
   * @param maxBytes of one message
   * @param pending what an earlier splitter had not given out
   */
  constructor(
    readonly maxBytes: number = MAX_MESSAGE_BYTES,
    pending: Uint8Array<ArrayBuffer> = new Uint8Array(),
  ) {
    this.#bytes = pending.slice();
    this.#length = pending.length;
  }

  /** The bytes of a message that is not complete yet. */
  get pending(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds what was received. */
  push(bytes: Uint8Array<ArrayBuffer>): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#bytes.length) {
      const larger = room(needed);
      larger.set(this.pending);
      release(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = needed;
  }

  /**
   * Takes the next complete message.
   * @returns its text, or undefined until more bytes come
   * @throws {FramingError} for bytes that begin no JSON object, are not UTF-8, or too many
   */
  next(): string | undefined {
    if (this.#scanned === 0) this.#skipSpace();
    const end = this.#findEnd();
    if ((end ?? this.#length) > this.maxBytes) {
      throw new FramingError(`message longer than ${this.maxBytes} bytes`);
    }
    if (end === undefined) return undefined;
    const text = this.#decode(end);
    this.#drop(end);
    this.#scanned = 0;
    // One long message is no reason to keep its room for as long as the client stays connected.
    if (this.#length === 0) this.forget();
    return text;
  }

  /** Drops what is pending. */
  forget(): void {
    release(this.#bytes);
    this.#bytes = new Uint8Array();
    this.#length = 0;
  }

  #decode(end: number): string {
    try {
      return decoder.decode(this.#bytes.subarray(0, end));
    } catch {
      throw new FramingError("message is not UTF-8");
    }
  }

  #drop(count: number): void {
    this.#bytes.copyWithin(0, count, this.#length);
    this.#length -= count;
  }

  #skipSpace(): void {
    const start = this.pending.findIndex((byte) => !isSpace(byte));
    this.#drop(start < 0 ? this.#length : start);
    if (this.#length > 0 && this.#bytes[0] !== BRACE_OPEN) {
      throw new FramingError("a message is one JSON object, and begins with {");
    }
  }

  /** Where the message ends. Braces count outside of strings only; JSON.parse checks the rest. */
  #findEnd(): number | undefined {
    while (this.#scanned < this.#length) {
      const byte = this.#bytes[this.#scanned++];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === BRACE_OPEN) this.#depth++;
      else if (byte === BRACE_CLOSE && --this.#depth === 0) return this.#scanned;
    }
    return undefined;
  }
}

/** White space of JSON (RFC 8259, section 2). */
function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
