import { fromBinary } from "@bufbuild/protobuf";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { CDR, DURATION, RECORD_KINDS, type RecordKind } from "../../domain/record-kind.ts";
import { discrepancyMessage } from "../../feed/discrepancy-feed.ts";
import type { PhoneNumberExportItem } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { carrierTransaction, type Database } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import {
  type FoundDiscrepancy,
  type FoundQuarantined,
  findDiscrepanciesOfNumber,
  findQuarantinedOfNumber,
  type NamedPlace,
} from "../../store/privacy/export-discrepancies.ts";
import { findHeldRecords } from "../../store/privacy/export-held.ts";
import {
  type FoundRecord,
  type PhoneNumberSearch,
  readFound,
  readRecordHeads,
  type ScanPlace,
  scanRecords,
} from "../../store/privacy/export-phone-number.ts";
import { durationMessage } from "../shared/messages/duration.ts";
import {
  callOf,
  type Given,
  giveMasked,
  givenCdr,
  givenDiscrepancy,
  givenDuration,
  maskCdr,
  maskDuration,
  type Subject,
} from "./export-item.ts";

/** Longest that one statement may take, milliseconds: it looks through a few thousand records. */
const STATEMENT_TIMEOUT_MS = 30_000;

export type ExportedItem = Exclude<PhoneNumberExportItem["item"], { case: undefined }>;

/** What one read of a carrier's records gave. */
export interface ExportedPage {
  readonly items: readonly ExportedItem[];
  /** Calls that were left out for the other party's right to stay unknown. */
  readonly withheld: number;
}

export interface CarrierPage extends ExportedPage {
  readonly carrierId: string;
}

export interface CarrierExport {
  readonly db: Database;
  readonly carrier: Pick<Carrier, "carrierId" | "networkIdentifiersAllowed">;
  readonly search: PhoneNumberSearch;
  readonly subject: Subject;
}

/**
 * Reads what is kept of the person's calls at one carrier, each page in its own transaction.
 * Quarantine first, so that what is released meanwhile is found as records; discrepancies last.
 */
export async function* exportedRecords({ db, carrier, search, subject }: CarrierExport): AsyncGenerator<ExportedPage> {
  const { carrierId, networkIdentifiersAllowed } = carrier;
  const read = reader(db, carrierId);
  const withNetwork = networkIdentifiersAllowed;
  const judge = (kind: RecordKind) => (found: FoundRecord) =>
    kind === CDR ? judgedCdr(found, subject) : judgedDuration(found, subject);
  yield* judged(
    read((tx, after: NamedPlace | undefined) => findQuarantinedOfNumber(tx, search, after)),
    (found) => givenQuarantined(found, carrier, subject),
  );
  const headOf = await readAt(db, carrierId, (tx) => readRecordHeads(tx, carrierId));
  for (const kind of RECORD_KINDS) {
    const head = headOf(kind);
    const pages = read(async (tx, after: ScanPlace | undefined) => {
      const { hits, next } = await scanRecords(tx, search, kind, head, after);
      return { found: await readFound(tx, kind, { carrierId, hits, head, withNetwork }), next };
    });
    yield* judged(pages, judge(kind));
  }
  for (const kind of RECORD_KINDS) {
    const pages = read((tx, after: ScanPlace | undefined) => findHeldRecords(tx, search, kind, after, withNetwork));
    yield* judged(pages, judge(kind));
  }
  yield* judged(
    read((tx, after: NamedPlace | undefined) => findDiscrepanciesOfNumber(tx, search, after)),
    (found) => judgedDiscrepancy(found, subject),
  );
}

/** Whether a carrier may have anything of the number, by what its bytes hold; reads none of it. */
export async function mayHaveRecords(db: Database, search: PhoneNumberSearch): Promise<boolean> {
  const { carrierId } = search;
  const read = reader(db, carrierId);
  const headOf = await readAt(db, carrierId, (tx) => readRecordHeads(tx, carrierId));
  for (const kind of RECORD_KINDS)
    for await (const { hits } of read((tx, after: ScanPlace | undefined) =>
      scanRecords(tx, search, kind, headOf(kind), after),
    ))
      if (hits.length > 0) return true;
  for await (const { found } of read((tx, after: NamedPlace | undefined) => findQuarantinedOfNumber(tx, search, after)))
    if (found.length > 0) return true;
  return false;
}

function readAt<T>(db: Database, carrierId: string, run: (tx: Tx) => Promise<T>): Promise<T> {
  return carrierTransaction(db, carrierId, run, { statementTimeoutMs: STATEMENT_TIMEOUT_MS, inOrder: true });
}

function reader(db: Database, carrierId: string) {
  return async function* pages<Page extends { readonly next: Place | undefined }, Place>(
    find: (tx: Tx, after: Place | undefined) => Promise<Page>,
  ): AsyncGenerator<Page> {
    let after: Place | undefined;
    do {
      const page = await readAt(db, carrierId, (tx) => find(tx, after));
      yield page;
      after = page.next;
    } while (after !== undefined);
  };
}

async function* judged<Found>(
  pages: AsyncIterable<{ readonly found: readonly Found[] }>,
  judge: (found: Found) => Judged,
): AsyncGenerator<ExportedPage> {
  for await (const { found } of pages) yield pageOf(found.map(judge));
}

interface Judged {
  readonly case: ExportedItem["case"];
  readonly given: Given<ExportedItem["value"]>;
  /** Whether it stands for a call, when it is withheld. Default true. */
  readonly isCounted?: boolean;
}

function pageOf(judged: readonly Judged[]): ExportedPage {
  const items: ExportedItem[] = [];
  let withheld = 0;
  for (const { case: name, given, isCounted = true } of judged) {
    if (given === "withheld") withheld += isCounted ? 1 : 0;
    else if (given) items.push({ case: name, value: given.item } as ExportedItem);
  }
  return { items, withheld };
}

function judgedCdr(found: FoundRecord, subject: Subject): Judged {
  return { case: "callDetailRecord", given: givenCdr(found, subject) };
}

// The platform's record of the call counts it.
function judgedDuration(found: FoundRecord, subject: Subject): Judged {
  const isCounted = found.counterparts.length === 0;
  return { case: "callDuration", given: givenDuration(found, subject), isCounted };
}

// Its records count the call.
function judgedDiscrepancy({ stored, ownNumber, cdrs, durations }: FoundDiscrepancy, subject: Subject): Judged {
  const records = [
    ...cdrs.map((payload) => callOf(fromBinary(CallDetailRecordSchema, payload))),
    ...durations.map((payload) => fromBinary(CallDurationSchema, payload)),
  ];
  const given = givenDiscrepancy(discrepancyMessage(stored), ownNumber, records, subject);
  return { case: "discrepancy", given, isCounted: false };
}

function givenQuarantined(
  found: FoundQuarantined,
  { carrierId, networkIdentifiersAllowed }: CarrierExport["carrier"],
  subject: Subject,
): Judged {
  if (found.kind === DURATION) {
    const item = durationMessage({ ...found, sequence: undefined, customerId: undefined, quarantined: true });
    return { case: "callDuration", given: giveMasked(item, item, [], subject, maskDuration) };
  }
  const item = fromBinary(CallDetailRecordSchema, found.payload);
  item.carrierId = carrierId;
  if (!networkIdentifiersAllowed) delete item.networkIdentifiers;
  return { case: "callDetailRecord", given: giveMasked(item, callOf(item), [], subject, maskCdr) };
}
