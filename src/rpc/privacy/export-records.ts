import { fromBinary } from "@bufbuild/protobuf";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { DURATION } from "../../domain/record-kind.ts";
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
import { findHeldCdrs, findHeldDurations } from "../../store/privacy/export-held.ts";
import {
  type FoundCdr,
  type FoundDuration,
  type PhoneNumberSearch,
  type RecordHeads,
  readFoundCdrs,
  readFoundDurations,
  readRecordHeads,
  type ScanPlace,
  scanCdrs,
  scanDurations,
} from "../../store/privacy/export-phone-number.ts";
import { durationMessage } from "../shared/messages/duration.ts";
import {
  callOf,
  type Given,
  givenCdr,
  givenDiscrepancy,
  givenDuration,
  maskCdr,
  maskDuration,
  mayBeGiven,
  type Subject,
} from "./export-item.ts";

/** Longest that one statement may take, milliseconds: it looks through a few thousand records. */
const STATEMENT_TIMEOUT_MS = 30_000;

/** The item of an export, as its oneof has it. */
export type ExportedItem = Exclude<PhoneNumberExportItem["item"], { case: undefined }>;

/** What one read of a carrier's records gave. */
export interface ExportedPage {
  readonly items: readonly ExportedItem[];
  /** Calls that were left out for the other party's right to stay unknown. */
  readonly withheld: number;
}

/** What one read gave, of one carrier. */
export interface CarrierPage extends ExportedPage {
  readonly carrierId: string;
}

/** What is asked of a carrier. */
export interface CarrierExport {
  readonly db: Database;
  readonly carrier: Pick<Carrier, "carrierId" | "networkIdentifiersAllowed">;
  readonly search: PhoneNumberSearch;
  readonly subject: Subject;
}

/**
 * Reads everything that is kept of the person's calls at one carrier, a page a transaction, so that
 * none is open while the client reads: what is in quarantine, and then records as they stood when
 * that had been read, so that what was released meanwhile is not missed; discrepancies last.
 */
export async function* exportedRecords(asked: CarrierExport): AsyncGenerator<ExportedPage> {
  const { carrierId } = asked.carrier;
  yield* quarantinedPages(asked);
  const heads = await readAt(asked.db, carrierId, (tx) => readRecordHeads(tx, carrierId));
  yield* cdrPages(asked, heads);
  yield* durationPages(asked, heads);
  yield* heldPages(asked);
  yield* discrepancyPages(asked);
}

async function* quarantinedPages({ db, carrier, search, subject }: CarrierExport): AsyncGenerator<ExportedPage> {
  const found = pages((after: NamedPlace | undefined) =>
    readAt(db, carrier.carrierId, (tx) => findQuarantinedOfNumber(tx, search, after)),
  );
  for await (const page of found) yield pageOf(page.found.map((each) => givenQuarantined(each, carrier, subject)));
}

async function* cdrPages(
  { db, carrier: { carrierId, networkIdentifiersAllowed }, search, subject }: CarrierExport,
  { cdrs: head }: RecordHeads,
): AsyncGenerator<ExportedPage> {
  const found = pages((after: ScanPlace | undefined) =>
    readAt(db, carrierId, async (tx) => {
      const { hits, next } = await scanCdrs(tx, search, head, after);
      return { found: await readFoundCdrs(tx, carrierId, hits, head, networkIdentifiersAllowed), next };
    }),
  );
  for await (const page of found) yield pageOf(page.found.map((each) => judgedCdr(each, subject)));
}

async function* durationPages(
  { db, carrier: { carrierId }, search, subject }: CarrierExport,
  { durations: head }: RecordHeads,
): AsyncGenerator<ExportedPage> {
  const found = pages((after: ScanPlace | undefined) =>
    readAt(db, carrierId, async (tx) => {
      const { hits, next } = await scanDurations(tx, search, head, after);
      return { found: await readFoundDurations(tx, carrierId, hits, head), next };
    }),
  );
  for await (const page of found) yield pageOf(page.found.map((each) => judgedDuration(each, subject)));
}

async function* heldPages({ db, carrier, search, subject }: CarrierExport): AsyncGenerator<ExportedPage> {
  const { carrierId, networkIdentifiersAllowed } = carrier;
  const cdrs = pages((after: ScanPlace | undefined) =>
    readAt(db, carrierId, (tx) => findHeldCdrs(tx, search, after, networkIdentifiersAllowed)),
  );
  for await (const page of cdrs) yield pageOf(page.found.map((each) => judgedCdr(each, subject)));
  const durations = pages((after: ScanPlace | undefined) =>
    readAt(db, carrierId, (tx) => findHeldDurations(tx, search, after)),
  );
  for await (const page of durations) yield pageOf(page.found.map((each) => judgedDuration(each, subject)));
}

async function* discrepancyPages({ db, carrier, search, subject }: CarrierExport): AsyncGenerator<ExportedPage> {
  const found = pages((after: NamedPlace | undefined) =>
    readAt(db, carrier.carrierId, (tx) => findDiscrepanciesOfNumber(tx, search, after)),
  );
  for await (const page of found) yield pageOf(page.found.map((each) => judgedDiscrepancy(each, subject)));
}

/**
 * Whether a carrier may have anything of the number: by what its bytes hold, without reading any of
 * it.
 */
export async function mayHaveRecords(db: Database, search: PhoneNumberSearch): Promise<boolean> {
  const { carrierId } = search;
  const read = <T>(run: (tx: Tx) => Promise<T>) => readAt(db, carrierId, run);
  const heads = await read((tx) => readRecordHeads(tx, carrierId));
  for await (const { hits } of pages((after: ScanPlace | undefined) =>
    read((tx) => scanCdrs(tx, search, heads.cdrs, after)),
  ))
    if (hits.length > 0) return true;
  for await (const { hits } of pages((after: ScanPlace | undefined) =>
    read((tx) => scanDurations(tx, search, heads.durations, after)),
  ))
    if (hits.length > 0) return true;
  for await (const { found } of pages((after: NamedPlace | undefined) =>
    read((tx) => findQuarantinedOfNumber(tx, search, after)),
  ))
    if (found.length > 0) return true;
  return false;
}

function readAt<T>(db: Database, carrierId: string, run: (tx: Tx) => Promise<T>): Promise<T> {
  return carrierTransaction(db, carrierId, run, { statementTimeoutMs: STATEMENT_TIMEOUT_MS, inOrder: true });
}

async function* pages<Page extends { readonly next: Place | undefined }, Place>(
  read: (after: Place | undefined) => Promise<Page>,
): AsyncGenerator<Page> {
  let after: Place | undefined;
  do {
    const page = await read(after);
    yield page;
    after = page.next;
  } while (after !== undefined);
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

function judgedCdr(found: FoundCdr, subject: Subject): Judged {
  return { case: "callDetailRecord", given: givenCdr(found, subject) };
}

// The platform's record of the call counts it.
function judgedDuration(found: FoundDuration, subject: Subject): Judged {
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
    const participation = mayBeGiven(item, [], subject);
    if (typeof participation !== "object") return { case: "callDuration", given: participation };
    maskDuration(item, subject, participation);
    return { case: "callDuration", given: { item } };
  }
  const item = fromBinary(CallDetailRecordSchema, found.payload);
  item.carrierId = carrierId;
  if (!networkIdentifiersAllowed) delete item.networkIdentifiers;
  const participation = mayBeGiven(callOf(item), [], subject);
  if (typeof participation !== "object") return { case: "callDetailRecord", given: participation };
  maskCdr(item, subject, participation);
  return { case: "callDetailRecord", given: { item } };
}
