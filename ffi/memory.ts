/** Strings and arrays as C wants them. */

const encoder = new TextEncoder();

/**
 * A NUL-terminated C string.
 * @throws {TypeError} when the text holds a NUL, which would cut it short
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError(`a NUL character in ${JSON.stringify(text)}`);
  return new Uint8Array(encoder.encode(text + "\0"));
}

/** The address of a buffer, to store in a struct. The caller keeps the buffer alive. */
export function addressOf(buffer: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}

/** A `char *argv[]`, NULL-terminated. Keep the whole object alive during the call. */
export class StringArray {
  readonly pointers: BigUint64Array<ArrayBuffer>;
  readonly #strings: Uint8Array<ArrayBuffer>[];

  constructor(strings: readonly string[]) {
    this.#strings = strings.map(cString);
    this.pointers = new BigUint64Array(strings.length + 1);
    this.#strings.forEach((string, index) => this.pointers[index] = addressOf(string));
  }
}

/** A little-endian view, as both supported processors are. */
export class Struct {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  /** What the pointers in it point to, by offset: an address alone does not keep a buffer alive. */
  readonly #pointees = new Map<number, BufferSource | null>();

  /** @param size in bytes */
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  i16(offset: number): number {
    return this.#view.getInt16(offset, true);
  }

  i32(offset: number): number {
    return this.#view.getInt32(offset, true);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  u64(offset: number): bigint {
    return this.#view.getBigUint64(offset, true);
  }

  setI16(offset: number, value: number): this {
    this.#view.setInt16(offset, value, true);
    return this;
  }

  setI32(offset: number, value: number): this {
    this.#view.setInt32(offset, value, true);
    return this;
  }

  setU64(offset: number, value: bigint | number): this {
    this.#view.setBigUint64(offset, BigInt(value), true);
    return this;
  }

  /** Stores a buffer's address, NULL for none, and keeps the buffer alive until the next one. */
  setPointer(offset: number, buffer: BufferSource | null): this {
    this.#pointees.set(offset, buffer);
    return this.setU64(offset, buffer === null ? 0 : addressOf(buffer));
  }
}
