import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { enumValues } from "../../domain/enum-values.ts";
import { FeedId } from "../../domain/feed-id.ts";
import { type Micros, timestampFromMicros } from "../../domain/time/instant.ts";
import {
  type Erasure,
  type ErasureCountSchema,
  type ErasureExceptionSchema,
  type ErasureNoticeSchema,
  type ErasureReceipt,
  ErasureReceiptSchema,
  ErasureSchema,
  ErasureState,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { type Database, systemTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { countRecipients } from "../../store/privacy/erasure-recipients.ts";
import { type ErasureAtCarrier, type ErasureRow, readErasureCarriers } from "../../store/privacy/erasures.ts";

/** Most exceptions, and most notices, of a receipt. */
const MOST = 1_000;
const FEED_NAMES: Readonly<Record<number, string>> = {
  [FeedId.NUMBERS]: "numbers",
  [FeedId.CDRS]: "cdrs",
  [FeedId.DISCREPANCIES]: "discrepancies",
};

/** The receipt only once nobody can deliver what was erased. */
export async function erasureMessage(db: Database, erasure: ErasureRow): Promise<Erasure> {
  return systemTransaction(db, async (tx) => {
    const carriers = await readErasureCarriers(tx, erasure.erasureId);
    const isComplete = erasure.state >= ErasureState.COMPLETED_WITH_EXCEPTIONS;
    return create(ErasureSchema, {
      ...erasure,
      startTime: time(erasure.start),
      endTime: time(erasure.end),
      createTime: time(erasure.createTime),
      completeTime: time(erasure.completeTime),
      erasedRecordCount: carriers.reduce((sum, at) => sum + recordsOf(at), 0n),
      receipt: isComplete ? await receiptOf(tx, erasure, carriers) : undefined,
    });
  });
}

/** What an erasure would come to, as one that was not journalled. */
export function forecastMessage(
  asked: { start: string; end: string; role: number; caseReference: string; verifiedBy: string },
  requestedBy: string,
  carriers: readonly ErasureAtCarrier[],
): Erasure {
  const { start, end, role, caseReference, verifiedBy } = asked;
  return create(ErasureSchema, {
    ...{ role, caseReference, verifiedBy, requestedBy },
    startTime: time(BigInt(start)),
    endTime: time(BigInt(end)),
    receipt: { counts: carriers.flatMap(countsOf), exceptions: carriers.flatMap(exceptionsOf).slice(0, MOST) },
  });
}

async function receiptOf(tx: Tx, erasure: ErasureRow, carriers: readonly ErasureAtCarrier[]): Promise<ErasureReceipt> {
  const notices: MessageInitShape<typeof ErasureNoticeSchema>[] = [];
  for (const at of carriers) {
    for (const notice of Object.entries(at.notices)) {
      if (notices.length < MOST) notices.push(await noticeOf(tx, at.carrierId, notice));
    }
  }
  const times = [erasure.receiptTime, ...carriers.map(({ lateTime }) => lateTime)];
  const receiptTime = times.reduce((latest, each) => ((each ?? 0n) > (latest ?? 0n) ? each : latest));
  return create(ErasureReceiptSchema, {
    counts: carriers.flatMap(countsOf),
    exceptions: carriers.flatMap(exceptionsOf).slice(0, MOST),
    notices,
    receiptTime: time(receiptTime),
  });
}

async function noticeOf(
  tx: Tx,
  carrierId: string,
  [feed, { first, last }]: [string, { first: string; last: string }],
): Promise<MessageInitShape<typeof ErasureNoticeSchema>> {
  const entries = { first: BigInt(first), last: BigInt(last) };
  const { informed, uninformed } = await countRecipients(tx, carrierId, Number(feed) as FeedId, entries);
  return {
    carrierId,
    feed: FEED_NAMES[Number(feed)] ?? "",
    firstSequence: entries.first,
    lastSequence: entries.last,
    informedRecipientCount: informed,
    uninformedRecipientCount: uninformed,
  };
}

// Those that came late are counted by whoever took them in.
function countsOf(at: ErasureAtCarrier): MessageInitShape<typeof ErasureCountSchema>[] {
  const late: Record<number, bigint> = { [RecordPart.CALL]: at.lateCdrs, [RecordPart.DURATION]: at.lateDurations };
  return enumValues(RecordPart).flatMap((part) => {
    const { records, copies, hashes } = at.counts[part] ?? { records: 0, copies: 0, hashes: 0 };
    const recordCount = BigInt(records) + (late[part] ?? 0n);
    if (recordCount === 0n && copies === 0 && hashes === 0) return [];
    const { carrierId } = at;
    return [{ carrierId, recordPart: part, recordCount, copyCount: BigInt(copies), hashCount: BigInt(hashes) }];
  });
}

function exceptionsOf({ carrierId, exceptions }: ErasureAtCarrier): MessageInitShape<typeof ErasureExceptionSchema>[] {
  return exceptions.map(({ reason, part, count, due, source }) => ({
    reason,
    carrierId,
    recordPart: part,
    recordCount: BigInt(count),
    dueTime: due === undefined ? undefined : time(BigInt(due)),
    source,
  }));
}

function recordsOf(at: ErasureAtCarrier): bigint {
  const rewritten = Object.values(at.counts).reduce((sum, { records }) => sum + BigInt(records), 0n);
  return rewritten + at.lateCdrs + at.lateDurations;
}

function time(instant: Micros | undefined) {
  return instant === undefined ? undefined : create(TimestampSchema, timestampFromMicros(instant));
}
