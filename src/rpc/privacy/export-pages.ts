import type { Carrier } from "../../domain/carrier.ts";
import { rowOfPeriod } from "../../domain/number-state.ts";
import { SubjectRole, searchTexts } from "../../domain/subject.ts";
import { listCarriers } from "../../store/carriers.ts";
import { type Database, systemTransaction } from "../../store/database.ts";
import type { PhoneNumberSearch } from "../../store/export-phone-number.ts";
import { type HistoryPeriod, readNumberHistory } from "../../store/number-history.ts";
import type { Services } from "../context.ts";
import { phoneNumberMessage, redactLocation } from "../number-message.ts";
import { regionMismatch } from "../residency.ts";
import { type ExportedItem, type ExportedPage, exportedRecords, mayHaveRecords } from "./export-records.ts";
import type { AskedExport } from "./export-request.ts";

/** How many carriers are read at once. */
const CARRIER_PAGE = 100;

/** What one read gave, of one carrier. */
export interface CarrierPage extends ExportedPage {
  readonly carrierId: string;
}

/** How an export is read. */
export interface ExportSurroundings {
  readonly mayReadLocation: boolean;
  /** Throws when the export may not go on. */
  readonly checkpoint: () => void;
}

/**
 * Reads what every carrier has of the person: states of the number first, then records.
 * @throws TandemError REGION_MISMATCH at the end, if a carrier of another region may have something too: this is not everything.
 */
export async function* exportedPages(
  services: Services,
  asked: AskedExport,
  { mayReadLocation, checkpoint }: ExportSurroundings,
): AsyncGenerator<CarrierPage> {
  const { db, config } = services;
  const { subject, start, end } = asked;
  const states = await readStates(services, asked);
  const elsewhere = new Set<string>();
  for await (const carrier of allCarriers(db)) {
    checkpoint();
    const { carrierId, region } = carrier;
    const { phoneNumber } = subject;
    const search: PhoneNumberSearch = { carrierId, start, end, phoneNumber, texts: searchTexts(phoneNumber) };
    const held = states.filter((state) => state.carrierId === carrierId);
    if (config.region !== undefined && region !== config.region) {
      // Of another region no more is looked at than whether there may be something.
      const isKnown = elsewhere.has(region) || (held.length === 0 && !(await mayHaveRecords(db, search)));
      if (!isKnown) elsewhere.add(region);
      continue;
    }
    const items = statesOf(phoneNumber, held, mayReadLocation);
    if (items.length > 0) yield { carrierId, items, withheld: 0 };
    for await (const page of exportedRecords({ db, carrier, search, subject })) {
      checkpoint();
      yield { carrierId, ...page };
    }
  }
  if (elsewhere.size > 0) throw regionMismatch([...elsewhere].sort().join(", "));
}

async function* allCarriers(db: Database): AsyncGenerator<Carrier> {
  let afterCarrierId = "";
  let isMore = true;
  while (isMore) {
    const page = { afterCarrierId, limit: CARRIER_PAGE };
    const carriers = await systemTransaction(db, (tx) => listCarriers(tx, {}, page));
    yield* carriers;
    afterCarrierId = carriers.at(-1)?.carrierId ?? "";
    isMore = carriers.length === CARRIER_PAGE;
  }
}

// Who held the number is no other party's business.
async function readStates(
  { db, config }: Services,
  { subject: { phoneNumber, role }, start, end }: AskedExport,
): Promise<HistoryPeriod[]> {
  if (role === SubjectRole.OTHER_PARTY) return [];
  const history = await systemTransaction(db, (tx) => readNumberHistory(tx, phoneNumber, config.sipDomain));
  return history.filter(({ period }) => period.start < end && period.end > start);
}

function statesOf(phoneNumber: string, held: readonly HistoryPeriod[], mayReadLocation: boolean): ExportedItem[] {
  return held.map(({ carrierId, period }) => {
    const state = phoneNumberMessage(rowOfPeriod({ carrierId, phoneNumber }, period));
    return { case: "phoneNumber", value: redactLocation(state, mayReadLocation) };
  });
}
