import type { MemoryHold } from "./memory-budget.ts";
import type { PortRequest } from "./port.ts";

/** What a piece of a body costs besides its bytes: a client may send it byte by byte. */
const PIECE_BYTES = 256;

/**
 * Accounts for what has been received of a request's body and that nobody has read yet: of HTTP/2 up to a window, also while it is still being
 * judged whether the call may go on.
 */
export class ReceivedBytes {
  readonly #hold: MemoryHold;
  #bytes = 0;
  #overhead = 0;

  /** @param fail called when there is no room: what has come was dropped, and the body must not be read on. */
  constructor(request: PortRequest, hold: MemoryHold, fail: (error: unknown) => void) {
    this.#hold = hold;
    const source = "stream" in request ? request.stream : request;
    const push = source.push.bind(source);
    source.push = (piece: Buffer | null, encoding?: BufferEncoding) => {
      if (piece === null) return push(null);
      try {
        hold.add(piece.length + PIECE_BYTES);
      } catch (error) {
        fail(error);
        return false;
      }
      this.#bytes += piece.length;
      this.#overhead += PIECE_BYTES;
      return push(piece, encoding);
    };
  }

  /** So many were read: whoever has them accounts for them. */
  read(bytes: number): void {
    if (this.#bytes === 0) return;
    const overhead = Math.round(this.#overhead * Math.min(1, bytes / this.#bytes));
    this.#bytes -= bytes;
    this.#overhead -= overhead;
    this.#hold.remove(bytes + overhead);
  }
}
