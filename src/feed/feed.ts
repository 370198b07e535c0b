import type { FeedId } from "../domain/feed-id.ts";
import type { Micros } from "../domain/time/instant.ts";
import type { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import type { Tx } from "../store/database/run.ts";
import type { FeedHead } from "../store/feeds/feed-head.ts";
import type { FeedPoint, StoredPage } from "../store/feeds/feed-page.ts";
import type { DisclosedEntry } from "./disclosed-blocks.ts";
import type { PlainFrame } from "./stream-state.ts";

/** Most entries, and most rows, of one message. */
export const PAGE_ENTRIES = 1_000;

/**
 * One carrier's feed as a stream reads it: where its entries come from, how they are shown, and
 * what the log of disclosures says of them.
 */
export interface StreamedFeed<Entry, Row, Shown> {
  readonly id: FeedId;
  /**
   * Looks what the agreement allows now: before the stream opens, and before each page. So a change
   * holds for streams that live on too.
   */
  refresh?(): Promise<void>;
  /**
   * Reads on after a position, to `until` at most, and proves in the same statement that the entry
   * there is the one that was sent. A page is bounded in entries and in bytes.
   */
  readPage(tx: Tx, after: FeedPoint, until: bigint | undefined): Promise<StoredPage<Entry>>;
  /** The current rows, of a feed that can start with them. */
  readonly snapshot?: {
    /** Reads the rows after a key. */
    read(tx: Tx, afterKey: string): Promise<SnapshotPage<Row>>;
    show(frame: RowsFrame<Row>): Shown;
  };
  /** Names what is in an entry now: streams of one variant share pages. Undefined: none does. */
  readonly variant?: (() => string) | undefined;
  /** The parts that entries include now. */
  recordParts(): readonly RecordPart[];
  /** The entries of a batch, ascending, as the log counts them. */
  disclosed(entries: readonly Entry[]): readonly DisclosedEntry[];
  /** A batch as the `frame` of the method's response. */
  showBatch(entries: readonly Entry[], format: "binary" | "json"): Shown;
}

/** A run of the current rows. */
export interface SnapshotPage<Row> {
  readonly rows: Row[];
  /** The key of the last row that was looked at; without one, the key that was asked after. */
  readonly lastKey: string;
  /** Whether there are no more. */
  readonly isLast: boolean;
}

/** What a stream sends. */
export type FeedFrame<Entry, Row> = FeedRange &
  (
    | { frame: "batch"; entries: readonly Entry[] }
    | RowsFrame<Row>
    | { frame: "opened"; sessionId: string; head: FeedHead }
    | Exclude<PlainFrame, { frame: "synced" }>
  );

/** A frame of a stream that starts with the current rows. */
export type RowsFrame<Row> = { frame: "snapshot"; rows: Row[] } | Extract<PlainFrame, { frame: "synced" }>;

/** How far a frame reaches, and the cursor of its end. */
export interface FeedRange {
  after: bigint;
  through: bigint;
  /** Of the entry at `through`; 0 when it is not known. */
  throughTime: Micros;
  cursor: string;
}
