import { AuditBreakKind } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Stated } from "../enum-values.ts";
import { type AuditEvent, hashEvent, NO_HASH } from "./audit.ts";

/** The first place at which a chain is broken. */
export interface AuditBreak {
  readonly kind: Stated<AuditBreakKind>;
  /** Of the event; of a gap, the first that is missing. */
  readonly sequence: bigint;
}

/** What a chain should be, as its head and whoever asks say. */
export interface ChainRange {
  /** The first event to look at. */
  readonly first: bigint;
  /** The last. */
  readonly last: bigint;
  /**
   * The hash of the event before the first, where it is known; of the first of all it always is.
   */
  readonly previousHash?: Uint8Array | undefined;
}

/** Looks at the events of a chain one by one, in order, until one is not as it should be. */
export class ChainCheck {
  readonly #range: ChainRange;
  #next: bigint;
  #previousHash: Uint8Array | undefined;
  #seen: AuditEvent | undefined;
  #count = 0n;

  constructor(range: ChainRange) {
    this.#range = range;
    this.#next = range.first;
    this.#previousHash = range.first === 1n ? NO_HASH : range.previousHash;
  }

  /** How many events were looked at, the one that is broken included. */
  get count(): bigint {
    return this.#count;
  }

  /** The last of them. */
  get lastEvent(): AuditEvent | undefined {
    return this.#seen;
  }

  /** Looks at the next event that is there. */
  add(event: AuditEvent): AuditBreak | undefined {
    if (event.sequence !== this.#next) return { kind: AuditBreakKind.GAP, sequence: this.#next };
    this.#count++;
    this.#seen = event;
    const { sequence } = event;
    if (this.#previousHash && !isSame(event.previousHash, this.#previousHash))
      return { kind: AuditBreakKind.LINK, sequence };
    if (!isSame(event.entryHash, hashOrNone(event))) return { kind: AuditBreakKind.CONTENT, sequence };
    this.#next++;
    this.#previousHash = event.entryHash;
    return undefined;
  }

  /**
   * Says whether anything is missing at the end, or the last event is not the one that was
   * expected.
   */
  end(expected: { headHash?: Uint8Array | undefined; expectedHash?: Uint8Array | undefined }): AuditBreak | undefined {
    const { last } = this.#range;
    const isCut = this.#next <= last;
    // Who kept a hash is told by it: whether the end was cut off or written anew is the same to
    // them.
    if (expected.expectedHash && (isCut || !this.#isLast(expected.expectedHash)))
      return { kind: AuditBreakKind.EXPECTED_HASH, sequence: last };
    if (isCut) return { kind: AuditBreakKind.GAP, sequence: this.#next };
    if (expected.headHash && !this.#isLast(expected.headHash)) return { kind: AuditBreakKind.LINK, sequence: last };
    return undefined;
  }

  #isLast(hash: Uint8Array): boolean {
    return this.#previousHash !== undefined && isSame(this.#previousHash, hash);
  }
}

// What was changed may no longer be anything that has a hash.
function hashOrNone(event: AuditEvent): Uint8Array {
  try {
    return hashEvent(event);
  } catch {
    return new Uint8Array(0);
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
