import { fromBinary } from "@bufbuild/protobuf";
import { invalidArgument } from "../../domain/errors.ts";
import { searchPattern } from "../../domain/numbers/number-pattern.ts";
import { e164Forms } from "../../domain/numbers/spelling.ts";
import { type CallOfParties, findParticipation, isInRole, partyMatcher } from "../../domain/privacy/subject.ts";
import { CDR, RECORD_KINDS, type RecordKind } from "../../domain/record-kind.ts";
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
  scanRecords,
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

export function scanBudget(): ScanBudget {
  return { scans: MAX_SCANS };
}

/**
 * The records of both sides in which a number takes part at one carrier.
 * @throws TandemError INVALID_ARGUMENT if there are too many.
 */
export async function targetOfNumber(
  db: Database,
  carrierId: string,
  subject: NumberSubject,
  budget: ScanBudget = scanBudget(),
): Promise<DisclosureTarget> {
  const { phoneNumber } = subject;
  const search = { ...subject, carrierId, forms: e164Forms(phoneNumber), pattern: searchPattern(phoneNumber) };
  const targets: DisclosureTarget[] = [];
  for (const kind of RECORD_KINDS) {
    const records = await findRecords(db, search, subject, kind, budget);
    const read = (tx: Tx) => readDisclosureTarget(tx, carrierId, kind.side, records);
    targets.push(await systemTransaction(db, read, { statementTimeoutMs: STATEMENT_TIMEOUT_MS }));
  }
  return { entries: targets.flatMap(({ entries }) => entries), keys: targets.flatMap(({ keys }) => keys) };
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
  const headOf = await readRecordHeads(tx, search.carrierId);
  const { hits, next } = await scanRecords(tx, search, kind, headOf(kind), after);
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
