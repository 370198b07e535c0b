import { create } from "@bufbuild/protobuf";
import { TandemError } from "../../domain/errors.ts";
import { NO_SIDE, recordKey } from "../../domain/privacy/disclosure.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { addDays, type Micros, utcDay } from "../../domain/time/instant.ts";
import { type Disclosure, DisclosureSchema } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import { type Database, systemTransaction } from "../../store/database/database.ts";
import { type DisclosurePlace, type DisclosureSubject, findDisclosures } from "../../store/privacy/disclosure-lists.ts";
import { readDisclosures, type StoredDisclosure } from "../../store/privacy/disclosure-rows.ts";
import { disclosureMessage } from "./disclosures.ts";
import type { CarrierPage } from "./export-records.ts";
import type { AskedExport } from "./export-request.ts";
import { targetOfNumber } from "./records-of-number.ts";

/** Disclosures that one read takes, each of which may name a thousand records. */
const PAGE = 20;
const STATEMENT_TIMEOUT_MS = 30_000;

/** Reads who may have received the person's records of a carrier, newest first, as of a moment. */
export async function* exportedDisclosures(
  db: Database,
  carrierId: string,
  asked: AskedExport,
  { snapshotTime, checkpoint }: { snapshotTime: Micros; checkpoint: () => void },
): AsyncGenerator<CarrierPage> {
  const { subject, keys } = await subjectOf(db, carrierId, asked);
  if (subject.of === "records" && subject.entries.length === 0 && subject.keys.length === 0) return;
  let after: DisclosurePlace | undefined;
  do {
    const selection = { recipientKind: undefined, start: undefined, end: snapshotTime, after, limit: PAGE };
    const rows = await systemTransaction(
      db,
      async (tx) => {
        const found = await findDisclosures(tx, carrierId, subject, selection);
        after = found.length < PAGE ? undefined : found.at(-1);
        return readDisclosures(
          tx,
          carrierId,
          found.map(({ disclosureId }) => disclosureId),
        );
      },
      { statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    );
    checkpoint();
    const items = rows.map((row) => ({ case: "disclosure" as const, value: ofPerson(carrierId, row, keys) }));
    yield { carrierId, items, withheld: 0 };
  } while (after);
}

/** Asks for the person's records, or for their days if there are too many. */
async function subjectOf(
  db: Database,
  carrierId: string,
  { subject: { phoneNumber, role }, start, end }: AskedExport,
): Promise<{ subject: DisclosureSubject; keys: ReadonlySet<bigint> }> {
  try {
    const target = await targetOfNumber(db, carrierId, { of: "number", phoneNumber, role, start, end });
    return { subject: { of: "records", ...target }, keys: new Set(target.keys) };
  } catch (error) {
    if (!(error instanceof TandemError && error.reason === "INVALID_ARGUMENT")) throw error;
    const [startDate, endDate] = [addDays(utcDay(start), -1), addDays(utcDay(end), 2)];
    return { subject: { of: "period", startDate, endDate }, keys: new Set() };
  }
}

// What was asked, and others' records delivered with the person's, is about others.
function ofPerson(carrierId: string, stored: StoredDisclosure, keys: ReadonlySet<bigint>): Disclosure {
  const message = create(DisclosureSchema, disclosureMessage(stored));
  message.filterJson = "{}";
  message.records = message.records.filter(({ recordId, recordDate }) =>
    [NO_SIDE, PLATFORM_SIDE, CARRIER_SIDE].some((side) => keys.has(recordKey(carrierId, side, recordId, recordDate))),
  );
  return message;
}
