import { AuditBreakKind } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Stated } from "../enum-values.ts";
import { type AuditEvent, hashEvent, NO_HASH } from "./audit.ts";

export interface AuditBreak {
  readonly kind: Stated<AuditBreakKind>;
  /** The broken event, or the first missing one. */
  readonly sequence: bigint;
}

/** What a chain should be, by its head and the request. */
export interface ChainRange {
  readonly first: bigint;
  readonly last: bigint;
  /** The hash before the first event, if known; always known for the very first. */
  readonly previousHash?: Uint8Array | undefined;
}

/** Checks the events of a chain in order, until one is wrong. */
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

  get count(): bigint {
    return this.#count;
  }

  get lastEvent(): AuditEvent | undefined {
    return this.#seen;
  }

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

  /** Checks that nothing is missing at the end and that the last event is the expected one. */
  end(expected: { headHash?: Uint8Array | undefined; expectedHash?: Uint8Array | undefined }): AuditBreak | undefined {
    const { last } = this.#range;
    const isCut = this.#next <= last;
    // A kept hash shows both a cut and a rewritten end, so both are reported alike.
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

// A changed event may not be hashable.
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
