import type { RecordName } from "../../domain/privacy/disclosure.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { readRows, type Tx } from "../database/run.ts";
import { firstDayOfBlock, lastDayOfBlock } from "./disclosure-lists.ts";

/** A disclosure as it is stored. An open block reaches as far as it may have been sent by now. */
export interface StoredDisclosure {
  readonly disclosureId: string;
  readonly carrierId: string;
  readonly commitTime: Micros;
  readonly recipientKind: number;
  readonly credentialId: string;
  readonly method: string;
  readonly kind: number;
  readonly sessionId: string | undefined;
  readonly filterJson: string;
  readonly recordParts: number[];
  readonly masked: boolean;
  /** These three of a feed. */
  readonly feedEpoch: bigint | undefined;
  readonly afterSequence: bigint | undefined;
  readonly throughSequence: bigint | undefined;
  /** None of a feed. */
  readonly records: RecordName[];
  readonly recordCount: number;
  readonly firstRecordDate: string;
  readonly lastRecordDate: string;
  readonly purpose: number;
  readonly legalBasis: number;
  readonly privacyStatementVersion: string;
}

/** Reads disclosures of a carrier by their ids, in that order. In a system transaction. */
export async function readDisclosures(
  tx: Tx,
  carrierId: string,
  disclosureIds: readonly string[],
): Promise<StoredDisclosure[]> {
  if (disclosureIds.length === 0) return [];
  // Nobody knows yet how far an open block was sent: perhaps as far as there are entries.
  const rows = await readRows(tx)<Row>`
    SELECT d.*, COALESCE(d.through_sequence, b.through) AS through_sequence,
      COALESCE(b.through - d.after_sequence, d.record_count)::int4 AS record_count,
      COALESCE(b.first_date, d.first_record_date) AS first_record_date, COALESCE(b.last_date, d.last_record_date) AS last_record_date
    FROM disclosure d
    LEFT JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = d.feed
    LEFT JOIN LATERAL (
      SELECT GREATEST(LEAST(d.reserved_through, h.next_sequence - 1), d.after_sequence + 1) AS through,
        LEAST(d.first_record_date, (${firstDayOfBlock(carrierId)})) AS first_date,
        GREATEST(d.last_record_date, (${lastDayOfBlock(carrierId)})) AS last_date
    ) b ON d.feed IS NOT NULL AND d.through_sequence IS NULL
    WHERE d.carrier_id = ${carrierId} AND d.disclosure_id = ANY (${textArray(disclosureIds)}::text[]::uuid[])`;
  const byId = new Map(rows.map((row) => [row.disclosureId, row]));
  return disclosureIds.flatMap((id) => {
    const row = byId.get(id);
    return row ? [{ ...row, records: recordsOf(row) }] : [];
  });
}

interface Row extends Omit<StoredDisclosure, "records"> {
  recordIds: string[] | undefined;
  recordDates: string[] | undefined;
  revisions: number[] | undefined;
}

function recordsOf({ recordIds = [], recordDates: dates, revisions }: Row): RecordName[] {
  return recordIds.map((recordId, index) => ({
    recordId,
    recordDate: dates?.[index] ?? "",
    revision: revisions?.[index] ?? 1,
  }));
}
