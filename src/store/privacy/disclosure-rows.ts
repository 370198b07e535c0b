import { type RawBuilder, sql } from "kysely";
import type { RecordName } from "../../domain/privacy/disclosure.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { run, type Tx } from "../database/run.ts";
import { firstDayOfBlock, lastDayOfBlock } from "./disclosure-lists.ts";

/** A disclosure as it is stored; of a block that is open, as far as it may reach by now. */
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
  readonly recordParts: readonly number[];
  readonly masked: boolean;
  /** Of a feed. */
  readonly block: { readonly epoch: bigint; readonly after: bigint; readonly through: bigint } | undefined;
  /** Of what is no feed. */
  readonly records: readonly RecordName[];
  readonly recordCount: number;
  readonly firstDate: string;
  readonly lastDate: string;
  readonly purpose: number;
  readonly legalBasis: number;
  readonly privacyStatementVersion: string;
}

/**
 * Reads disclosures of a carrier by their ids, in the order of the ids. In a system transaction.
 */
export async function readDisclosures(
  tx: Tx,
  carrierId: string,
  disclosureIds: readonly string[],
): Promise<StoredDisclosure[]> {
  if (disclosureIds.length === 0) return [];
  const { rows } = await run(tx)<Row>`
    SELECT d.*, b.through, b.first_date, b.last_date, b.through - d.after_sequence AS open_count
    FROM disclosure d
    LEFT JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = d.feed
    LEFT JOIN LATERAL (${openBlock(carrierId)}) b ON d.feed IS NOT NULL AND d.through_sequence IS NULL
    WHERE d.carrier_id = ${carrierId} AND d.disclosure_id = ANY (${textArray(disclosureIds)}::text[]::uuid[])`;
  const byId = new Map(rows.map((row) => [row.disclosureId, row]));
  return disclosureIds.flatMap((id) => {
    const row = byId.get(id);
    return row ? [storedDisclosure(row)] : [];
  });
}

// Of an open block nobody knows yet how far it was sent: it may be as far as there are entries.
function openBlock(carrierId: string): RawBuilder<unknown> {
  return sql`SELECT GREATEST(LEAST(d.reserved_through, h.next_sequence - 1), d.after_sequence + 1) AS through,
    LEAST(d.first_record_date, (${firstDayOfBlock(carrierId)})) AS first_date,
    GREATEST(d.last_record_date, (${lastDayOfBlock(carrierId)})) AS last_date`;
}

interface Row extends Omit<StoredDisclosure, "block" | "records" | "firstDate" | "lastDate"> {
  feedEpoch: bigint | undefined;
  afterSequence: bigint | undefined;
  throughSequence: bigint | undefined;
  recordIds: string[] | undefined;
  recordDates: string[] | undefined;
  revisions: number[] | undefined;
  firstRecordDate: string;
  lastRecordDate: string;
  through: bigint | undefined;
  firstDate: string | undefined;
  lastDate: string | undefined;
  openCount: bigint | undefined;
}

function storedDisclosure(row: Row): StoredDisclosure {
  return {
    ...row,
    block: blockOf(row),
    records: recordsOf(row),
    recordCount: row.openCount === undefined ? row.recordCount : Number(row.openCount),
    firstDate: row.firstDate ?? row.firstRecordDate,
    lastDate: row.lastDate ?? row.lastRecordDate,
  };
}

function blockOf({ feedEpoch: epoch, afterSequence: after, throughSequence: closed, through }: Row) {
  if (epoch === undefined || after === undefined) return undefined;
  return { epoch, after, through: closed ?? through ?? after };
}

function recordsOf({ recordIds: ids, recordDates: dates, revisions }: Row): RecordName[] {
  return (ids ?? []).map((recordId, index) => ({
    recordId,
    recordDate: dates?.[index] ?? "",
    revision: revisions?.[index] ?? 1,
  }));
}
