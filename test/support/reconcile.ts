import { FeedId } from "../../src/domain/feed-id.ts";
import { CDR, DURATION, type RecordKind } from "../../src/domain/record-kind.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { reconcileCarrier } from "../../src/reconcile/reconcile-carrier.ts";
import { carrierTransaction, type Database, systemTransaction } from "../../src/store/database/database.ts";
import { advanceFeed, lockFeed, readFeedHead } from "../../src/store/feeds/feed-head.ts";
import { HoldingsCache } from "../../src/store/numbers/holdings-cache.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { readResultsIn } from "../../src/store/reconciliation/call-results.ts";
import { insertAccepted } from "../../src/store/records/record-rows.ts";
import { attributeBatches } from "../../src/upload/attribute.ts";
import { cdrCodec, durationCodec } from "../../src/upload/records/record-codecs.ts";
import { prepareBatch } from "../../src/upload/upload-store.ts";
import { nowMicros } from "./exchange.ts";

const ANY_AGE = { firstDays: 1_000_000, laterDays: 1_000_000 };
const PAGE = 2_000;

/**
 * Appends call detail records of a carrier, as its feed would have them; committed at an instant,
 * if one is given.
 */
export function appendCdrs(
  db: Database,
  carrierId: string,
  records: readonly CallDetailRecord[],
  arrivalMs?: number,
): Promise<void> {
  return append(db, carrierId, { kind: CDR, codec: cdrCodec, arrivalMs }, records);
}

/** Appends a carrier's durations. */
export function appendDurations(
  db: Database,
  carrierId: string,
  records: readonly CallDuration[],
  arrivalMs?: number,
): Promise<void> {
  return append(db, carrierId, { kind: DURATION, codec: durationCodec, arrivalMs }, records);
}

interface AppendOptions<Message> {
  kind: RecordKind;
  codec: Parameters<typeof prepareBatch<Message>>[0];
  arrivalMs: number | undefined;
}

async function append<Message>(
  db: Database,
  carrierId: string,
  { kind, codec, arrivalMs }: AppendOptions<Message>,
  records: readonly Message[],
): Promise<void> {
  const feed = kind.feed;
  const context = { now: nowMicros(), hashSecret: Buffer.alloc(32), horizons: ANY_AGE };
  for (let start = 0; start < records.length; start += PAGE) {
    const batch = prepareBatch(codec, context, {
      uploadId: "none",
      firstOffset: 0n,
      records: records.slice(start, start + PAGE),
      writerEpoch: 1n,
    });
    await carrierTransaction(db, carrierId, async (tx) => {
      const numbers = await readFeedHead(tx, carrierId, FeedId.NUMBERS);
      const [attributed] = await attributeBatches(tx, carrierId, new HoldingsCache(), numbers, [batch]);
      const accepted = attributed?.records ?? [];
      const refused = batch.records.find((record) => record.refusal);
      if (refused?.refusal) throw new Error(`${refused.recordId}: ${JSON.stringify(refused.refusal)}`);
      const lock = await lockFeed(tx, carrierId, feed);
      const ingestTime = arrivalMs === undefined ? lock.ingestTime : microsFromMs(arrivalMs);
      await insertAccepted(tx, carrierId, kind, { ...lock, ingestTime }, accepted);
      await advanceFeed(tx, carrierId, feed, lock.nextSequence + BigInt(accepted.length));
    });
  }
}

/** Reconciles a carrier until nothing is left to do. */
export async function reconcileFully(
  db: Database,
  carrierId: string,
  options: { nowMs?: number; holder?: string; mostRounds?: number } = {},
): Promise<number> {
  const { holder = "test", nowMs, mostRounds } = options;
  const now = nowMs === undefined ? {} : { now: microsFromMs(nowMs) };
  const rounds = mostRounds === undefined ? {} : { mostRounds };
  const { signal } = new AbortController();
  const judged = await reconcileCarrier({ db, carrierId, holder, signal, ...now, ...rounds });
  if (judged === undefined) throw new Error("another holder has the carrier");
  return judged;
}

/** Every result of a carrier, by name. */
export async function readAllResults(db: Database, carrierId: string): Promise<CallResultRow[]> {
  const ever = { start: 0n, end: 4_102_444_800_000_000n };
  const rows = await systemTransaction(db, (tx) => readResultsIn(tx, carrierId, [ever]));
  return rows.toSorted((left, right) => (textOf(left) < textOf(right) ? -1 : 1));
}

function textOf({ side, recordDate, recordId }: CallResultRow): string {
  return `${recordDate}/${recordId}/${side}`;
}
