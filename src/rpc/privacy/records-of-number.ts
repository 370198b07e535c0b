import { fromBinary } from "@bufbuild/protobuf";
import { invalidArgument } from "../../domain/errors.ts";
import { searchPattern } from "../../domain/numbers/number-pattern.ts";
import { e164Forms } from "../../domain/numbers/spelling.ts";
import { type CallOfParties, findParticipation, isInRole, partyMatcher } from "../../domain/privacy/subject.ts";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { type Database, systemTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import {
  type AskedRecord,
  type DisclosureTarget,
  type HitRecord,
  readDisclosureTarget,
  readHits,
} from "../../store/privacy/disclosure-targets.ts";
import {
  type PhoneNumberSearch,
  readRecordHeads,
  type ScanPlace,
  scanCdrs,
  scanDurations,
} from "../../store/privacy/export-phone-number.ts";
import type { NumberSubject } from "./disclosures-request.ts";
import { callOf } from "./export-item.ts";

/** Longest that one statement may take, milliseconds: it looks through a few thousand records. */
const STATEMENT_TIMEOUT_MS = 30_000;
/** Most statements of a request that look through records: two million records. */
const MAX_SCANS = 400;
/** Most records of a number at one carrier and side. */
const MAX_RECORDS = 10_000;

/** How much a request may still look through, at all carriers together. */
export interface ScanBudget {
  scans: number;
}

/** The budget of one request. */
export function scanBudget(): ScanBudget {
  return { scans: MAX_SCANS };
}

/**
 * What of the log may be about a number's calls at one carrier: the records of both sides in which
 * it takes part in the role. Bounded: a period with too much in it is refused.
 * @throws TandemError INVALID_ARGUMENT.
 */
export async function targetOfNumber(
  db: Database,
  carrierId: string,
  subject: NumberSubject,
  budget: ScanBudget = scanBudget(),
): Promise<DisclosureTarget> {
  const { phoneNumber } = subject;
  const search = { ...subject, carrierId, forms: e164Forms(phoneNumber), pattern: searchPattern(phoneNumber) };
  const platform = await findRecords(db, search, subject, CDR, budget);
  const carrier = await findRecords(db, search, subject, DURATION, budget);
  return systemTransaction(
    db,
    async (tx) => {
      const targets = [
        await readDisclosureTarget(tx, carrierId, PLATFORM_SIDE, platform),
        await readDisclosureTarget(tx, carrierId, CARRIER_SIDE, carrier),
      ];
      return { entries: targets.flatMap(({ entries }) => entries), keys: targets.flatMap(({ keys }) => keys) };
    },
    { statementTimeoutMs: STATEMENT_TIMEOUT_MS },
  );
}

async function findRecords(
  db: Database,
  search: PhoneNumberSearch,
  subject: NumberSubject,
  kind: RecordKind,
  budget: ScanBudget,
): Promise<AskedRecord[]> {
  const found = new Map<string, AskedRecord>();
  const isIts = matcherOf(subject, kind);
  let after: ScanPlace | undefined;
  while (true) {
    if (budget.scans-- === 0 || found.size > MAX_RECORDS) throw tooMuch();
    const read = await systemTransaction(db, (tx) => scanOnce(tx, search, kind, after), {
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      inOrder: true,
    });
    for (const { recordId, recordDate, payload } of read.records)
      if (isIts(payload)) found.set(`${recordDate} ${recordId}`, { side: kind.side, recordId, recordDate });
    if (!read.next) return [...found.values()];
    after = read.next;
  }
}

async function scanOnce(
  tx: Tx,
  search: PhoneNumberSearch,
  kind: RecordKind,
  after: ScanPlace | undefined,
): Promise<{ records: HitRecord[]; next: ScanPlace | undefined }> {
  const heads = await readRecordHeads(tx, search.carrierId);
  const { hits, next } =
    kind === CDR
      ? await scanCdrs(tx, search, heads.cdrs, after)
      : await scanDurations(tx, search, heads.durations, after);
  return { records: await readHits(tx, search.carrierId, kind, hits), next };
}

function matcherOf({ phoneNumber, role }: NumberSubject, kind: RecordKind): (payload: Uint8Array) => boolean {
  const isSubject = partyMatcher(phoneNumber);
  return (payload) => {
    const call: CallOfParties =
      kind === CDR ? callOf(fromBinary(CallDetailRecordSchema, payload)) : fromBinary(CallDurationSchema, payload);
    const participation = findParticipation(call, isSubject);
    return participation !== undefined && isInRole(participation, role);
  };
}

function tooMuch() {
  return invalidArgument("number.end_time", "the period has too many calls: ask for a shorter one, or for one carrier");
}
