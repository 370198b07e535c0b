import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { BLOCK_MAX_AGE_MS, BLOCK_SEQUENCES } from "../domain/privacy/disclosure.ts";
import type { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import type { ReservedBlock, SentBlock } from "../store/privacy/disclosures.ts";
import type { FeedPlace } from "./position.ts";

/** Longest that the end of a stream waits for its last block to be closed, milliseconds. */
const CLOSE_WAIT_MS = 1_000;

/**
 * What a stream tells before it sends, so that who may have received what is known beforehand.
 * Dispose it when the stream ends.
 */
export interface FeedDisclosure<Entry, Row> extends AsyncDisposable {
  /**
   * Before a batch: resolves once it is committed that it may be received; undefined when that was
   * so before. Rejects: send nothing.
   */
  beforeBatch(epoch: bigint, entries: readonly Entry[]): Promise<void> | undefined;
  /** Before rows of a snapshot: likewise. */
  beforeRows(rows: readonly Row[]): Promise<void>;
}

/** An entry as the log counts it. */
export interface DisclosedEntry {
  readonly sequence: bigint;
  /** `YYYY-MM-DD`. */
  readonly recordDate: string;
}

export interface DisclosedBlocksOptions {
  readonly feed: FeedPlace["feed"];
  /** The last sequence of a stream that has an end: no block reaches further. */
  readonly until: bigint | undefined;
  /** The parts that entries include now. */
  readonly recordParts: () => readonly RecordPart[];
  /** Commits blocks that are reserved, and what was sent of others. */
  readonly write: (blocks: { reserved: readonly ReservedBlock[]; sent: readonly SentBlock[] }) => Promise<void>;
  /** Told when the last block could not be closed; a sweep does so later. */
  readonly onLeftOpen: (error: unknown) => void;
  readonly now?: () => number;
}

interface Block extends ReservedBlock {
  firstDate: string;
  lastDate: string;
  /** Of the newest entry that may be sent. */
  throughSequence: bigint;
  recordCount: number;
  readonly openedAt: number;
}

/**
 * The blocks of one stream. A block is reserved with its first entry, and covers the next 10,000
 * sequences: a stream that has nothing to send claims nothing, and one that is live pays a commit
 * for every 10,000. With its last entry, and with the end of the stream, it is closed at what was
 * sent.
 */
export class DisclosedBlocks implements AsyncDisposable {
  readonly #options: DisclosedBlocksOptions;
  readonly #now: () => number;
  #open: Block | undefined;

  constructor(options: DisclosedBlocksOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Takes entries, ascending, that are about to be sent; what it returns is to be awaited before.
   */
  before(epoch: bigint, entries: readonly DisclosedEntry[]): Promise<void> | undefined {
    const last = entries.at(-1);
    if (!last) return undefined;
    const usable = this.#usableBlock(epoch);
    if (!usable || last.sequence > usable.reservedThrough) return this.#reserve(epoch, entries, usable);
    for (const entry of entries) note(usable, entry);
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.#open;
    this.#open = undefined;
    if (!left) return;
    const closing = this.#options.write({ reserved: [], sent: [left] }).catch(this.#options.onLeftOpen);
    // A database that is away must not keep the stream's place taken; the closing goes on without
    // it.
    await Promise.race([closing, wait(CLOSE_WAIT_MS, undefined, { ref: false })]);
  }

  // A block says what is in its entries, and a long time after it was opened it would be taken for
  // one that a crash has left.
  #usableBlock(epoch: bigint): Block | undefined {
    const open = this.#open;
    if (!open || open.epoch !== epoch || this.#now() - open.openedAt > BLOCK_MAX_AGE_MS) return undefined;
    return open.recordParts.join() === this.#options.recordParts().join() ? open : undefined;
  }

  async #reserve(epoch: bigint, entries: readonly DisclosedEntry[], usable: Block | undefined): Promise<void> {
    const reserved: Block[] = [];
    let block = usable;
    for (const entry of entries) {
      if (!block || entry.sequence > block.reservedThrough) {
        block = this.#newBlock(epoch, entry);
        reserved.push(block);
      } else note(block, entry);
    }
    const sent = [...(this.#open ? [this.#open] : []), ...reserved.slice(0, -1)];
    await this.#options.write({ reserved, sent });
    this.#open = reserved.at(-1);
  }

  #newBlock(epoch: bigint, { sequence, recordDate }: DisclosedEntry): Block {
    const { feed, until, recordParts } = this.#options;
    const afterSequence = sequence - 1n;
    const most = afterSequence + BLOCK_SEQUENCES;
    return {
      disclosureId: randomUUID(),
      feed,
      epoch,
      afterSequence,
      reservedThrough: until !== undefined && until < most ? until : most,
      recordParts: recordParts(),
      firstDate: recordDate,
      lastDate: recordDate,
      throughSequence: sequence,
      recordCount: 1,
      openedAt: this.#now(),
    };
  }
}

function note(block: Block, { sequence, recordDate }: DisclosedEntry): void {
  if (recordDate < block.firstDate) block.firstDate = recordDate;
  else if (recordDate > block.lastDate) block.lastDate = recordDate;
  block.throughSequence = sequence;
  block.recordCount++;
}
