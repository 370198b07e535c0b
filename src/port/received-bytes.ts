import type { MemoryHold } from "./memory-budget.ts";
import type { PortRequest } from "./port.ts";

/** What a chunk of a body costs besides its bytes: a client may send it byte by byte. */
const PIECE_BYTES = 256;

/**
 * Accounts for the received bytes of a request's body that nobody has read yet: in HTTP/2 up to a
 * window, also while it is still being judged whether the call may go on.
 */
export class ReceivedBytes {
  readonly #hold: MemoryHold;
  #bytes = 0;
  #overhead = 0;

  /**
   * @param fail called when there is no room: what has come was dropped, and the body must not be
   *   read on.
   */
  constructor(request: PortRequest, hold: MemoryHold, fail: (error: unknown) => void) {
    this.#hold = hold;
    const source = "stream" in request ? request.stream : request;
    // In HTTP/2, what came together with the headers is there before anybody learns of the request.
    if (source.readableLength > 0) this.#take(source.readableLength, fail);
    const push = source.push.bind(source);
    source.push = (piece: Buffer | null, encoding?: BufferEncoding) => {
      if (piece === null) return push(null);
      return this.#take(piece.length, fail) && push(piece, encoding);
    };
  }

  /** This many were read: the reader accounts for them from now on. */
  read(bytes: number): void {
    const known = Math.min(bytes, this.#bytes);
    if (known === 0) return;
    const overhead = Math.round(this.#overhead * (known / this.#bytes));
    this.#bytes -= known;
    this.#overhead -= overhead;
    this.#hold.remove(known + overhead);
  }

  #take(bytes: number, fail: (error: unknown) => void): boolean {
    try {
      this.#hold.add(bytes + PIECE_BYTES);
    } catch (error) {
      fail(error);
      return false;
    }
    this.#bytes += bytes;
    this.#overhead += PIECE_BYTES;
    return true;
  }
}
