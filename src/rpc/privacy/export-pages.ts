import { create } from "@bufbuild/protobuf";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { searchPattern } from "../../domain/numbers/number-pattern.ts";
import { rowOfPeriod } from "../../domain/numbers/number-state.ts";
import { e164Forms } from "../../domain/numbers/spelling.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { NumberApprovalSchema, SubjectRole } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { PhoneNumberSchema } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { eachCarrier } from "../../store/carriers/carriers.ts";
import { carrierTransaction, type Database, systemTransaction } from "../../store/database/database.ts";
import { type HistoryPeriod, readNumberHistory } from "../../store/numbers/number-history.ts";
import { findApproved } from "../../store/numbers/number-ranges.ts";
import type { PhoneNumberSearch } from "../../store/privacy/export-phone-number.ts";
import type { Services } from "../shared/context.ts";
import { maskForReader } from "../shared/masking/reader-mask.ts";
import { phoneNumberMessage, redactLocation } from "../shared/messages/phone-number.ts";
import { regionMismatch } from "../shared/residency.ts";
import { exportedDisclosures } from "./export-disclosures.ts";
import { type CarrierPage, type ExportedItem, exportedRecords, mayHaveRecords } from "./export-records.ts";
import type { AskedExport } from "./export-request.ts";

export interface ExportSurroundings {
  readonly mayReadLocation: boolean;
  /** Disclosures of later are of the export itself, or of somebody else's business. */
  readonly snapshotTime: Micros;
  /** Throws when the export may not go on. */
  readonly checkpoint: () => void;
}

/**
 * Reads all that carriers have of the person: states of the number, approval, records; then who may
 * have received them.
 * @throws TandemError REGION_MISMATCH at the end, if another region may have something.
 */
export async function* exportedPages(
  services: Services,
  asked: AskedExport,
  surroundings: ExportSurroundings,
): AsyncGenerator<CarrierPage> {
  const { db, config } = services;
  const states = await readStates(services, asked);
  const elsewhere = new Set<string>();
  const served = new Set<string>();
  for await (const carrier of eachCarrier(db)) {
    surroundings.checkpoint();
    const held = states.filter(({ carrierId }) => carrierId === carrier.carrierId);
    const { region } = carrier;
    if (config.region !== undefined && region !== config.region) {
      if (!elsewhere.has(region) && (await mayHave(db, carrier, held, asked))) elsewhere.add(region);
      continue;
    }
    for await (const page of pagesOfCarrier(db, carrier, held, asked, surroundings)) {
      if (page.items.length > 0) served.add(carrier.carrierId);
      yield page;
    }
  }
  for (const carrierId of served) yield* exportedDisclosures(db, carrierId, asked, surroundings);
  if (elsewhere.size > 0) throw regionMismatch([...elsewhere].sort().join(", "));
}

async function* pagesOfCarrier(
  db: Database,
  carrier: Carrier,
  held: readonly HistoryPeriod[],
  asked: AskedExport,
  { mayReadLocation, checkpoint }: ExportSurroundings,
): AsyncGenerator<CarrierPage> {
  const { carrierId } = carrier;
  const { subject } = asked;
  const states = statesOf(subject.phoneNumber, held, mayReadLocation);
  yield { carrierId, items: [...states, ...(await readApproval(db, carrierId, asked))], withheld: 0 };
  const search = searchAt(carrierId, asked);
  for await (const page of exportedRecords({ db, carrier, search, subject })) {
    checkpoint();
    yield { carrierId, ...page };
  }
}

// Of another region no more is looked at than whether there may be something.
async function mayHave(
  db: Database,
  { carrierId }: Carrier,
  held: readonly HistoryPeriod[],
  asked: AskedExport,
): Promise<boolean> {
  if (held.length > 0 || (await readApproval(db, carrierId, asked)).length > 0) return true;
  return mayHaveRecords(db, searchAt(carrierId, asked));
}

// Nobody knows since when, so no period leaves it out; it is no other party's business.
async function readApproval(
  db: Database,
  carrierId: string,
  { subject: { phoneNumber, role } }: AskedExport,
): Promise<ExportedItem[]> {
  if (role === SubjectRole.OTHER_PARTY) return [];
  const approved = await carrierTransaction(db, carrierId, (tx) => findApproved(tx, carrierId, e164Forms(phoneNumber)));
  return approved.map((each) => ({ case: "approval", value: create(NumberApprovalSchema, { phoneNumber: each }) }));
}

function searchAt(carrierId: string, { subject: { phoneNumber }, start, end }: AskedExport): PhoneNumberSearch {
  return { carrierId, start, end, forms: e164Forms(phoneNumber), pattern: searchPattern(phoneNumber) };
}

// Who held the number is no other party's business.
async function readStates(
  { db, config }: Services,
  { subject: { phoneNumber, role }, start, end }: AskedExport,
): Promise<HistoryPeriod[]> {
  if (role === SubjectRole.OTHER_PARTY) return [];
  const history: HistoryPeriod[] = [];
  for (const form of e164Forms(phoneNumber))
    history.push(...(await systemTransaction(db, (tx) => readNumberHistory(tx, form, config.sipDomain))));
  return history.filter(({ period }) => period.start < end && period.end > start);
}

function statesOf(phoneNumber: string, held: readonly HistoryPeriod[], mayReadLocation: boolean): ExportedItem[] {
  return held.map(({ carrierId, period }) => {
    const state = phoneNumberMessage(rowOfPeriod({ carrierId, phoneNumber }, period));
    maskForReader(PhoneNumberSchema, state);
    return { case: "phoneNumber", value: redactLocation(state, mayReadLocation) };
  });
}
