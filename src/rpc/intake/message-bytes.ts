import type { MemoryHold } from "../../port/memory-budget.ts";

/**
 * The bytes of one message as they come. The buffer grows with them, and is accounted for before it
 * does: what a client only announces costs nothing, and a body that comes byte by byte is one
 * buffer and not a million.
 */
export class MessageBytes implements Disposable {
  readonly #hold: MemoryHold;
  #buffer = new Uint8Array(0);
  #length = 0;

  constructor(hold: MemoryHold) {
    this.#hold = hold;
  }

  get length(): number {
    return this.#length;
  }

  /** Valid until the next change. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  /** @param mostBytes how long the message can become. @throws TandemError RATE_LIMITED */
  append(bytes: Uint8Array, mostBytes: number): void {
    const length = this.#length + bytes.length;
    if (length > this.#buffer.length) this.#grow(length, mostBytes);
    this.#buffer.set(bytes, this.#length);
    this.#length = length;
  }

  /** Lets go of the bytes. */
  [Symbol.dispose](): void {
    this.#hold.remove(this.#buffer.length);
    this.#buffer = new Uint8Array(0);
    this.#length = 0;
  }

  #grow(length: number, mostBytes: number): void {
    const size = Math.min(Math.max(length, 2 * this.#buffer.length), Math.max(length, mostBytes));
    this.#hold.add(size - this.#buffer.length);
    const grown = new Uint8Array(size);
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}
