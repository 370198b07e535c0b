import { type RawBuilder, sql } from "kysely";
import type { RecordName } from "../../domain/privacy/disclosure.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import type { Tx } from "../database/database.ts";
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
  const { rows } = await sql<Row>`
    SELECT d.*, b.through, b.first_date, b.last_date, b.through - d.after_sequence AS open_count
    FROM disclosure d
    LEFT JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = d.feed
    LEFT JOIN LATERAL (${openBlock(carrierId)}) b ON d.feed IS NOT NULL AND d.through_sequence IS NULL
    WHERE d.carrier_id = ${carrierId} AND d.disclosure_id = ANY (${textArray(disclosureIds)}::text[]::uuid[])`.execute(
    tx,
  );
  const byId = new Map(rows.map((row) => [row.disclosure_id, row]));
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

interface Row {
  disclosure_id: string;
  carrier_id: string;
  commit_time: Micros;
  recipient_kind: number;
  credential_id: string;
  method: string;
  kind: number;
  session_id: string | null;
  filter_json: string;
  record_parts: number[];
  masked: boolean;
  feed_epoch: bigint | null;
  after_sequence: bigint | null;
  through_sequence: bigint | null;
  record_ids: string[] | null;
  record_dates: string[] | null;
  revisions: number[] | null;
  record_count: number;
  first_record_date: string;
  last_record_date: string;
  purpose: number;
  legal_basis: number;
  privacy_statement_version: string;
  through: bigint | null;
  first_date: string | null;
  last_date: string | null;
  open_count: bigint | null;
}

function storedDisclosure(row: Row): StoredDisclosure {
  return {
    disclosureId: row.disclosure_id,
    carrierId: row.carrier_id,
    commitTime: row.commit_time,
    recipientKind: row.recipient_kind,
    credentialId: row.credential_id,
    method: row.method,
    kind: row.kind,
    sessionId: row.session_id ?? undefined,
    filterJson: row.filter_json,
    recordParts: row.record_parts,
    masked: row.masked,
    block: blockOf(row),
    records: recordsOf(row),
    recordCount: row.open_count === null ? row.record_count : Number(row.open_count),
    firstDate: row.first_date ?? row.first_record_date,
    lastDate: row.last_date ?? row.last_record_date,
    purpose: row.purpose,
    legalBasis: row.legal_basis,
    privacyStatementVersion: row.privacy_statement_version,
  };
}

function blockOf({ feed_epoch: epoch, after_sequence: after, through_sequence: closed, through }: Row) {
  if (epoch === null || after === null) return undefined;
  return { epoch, after, through: closed ?? through ?? after };
}

function recordsOf({ record_ids: ids, record_dates: dates, revisions }: Row): RecordName[] {
  return (ids ?? []).map((recordId, index) => ({
    recordId,
    recordDate: dates?.[index] ?? "",
    revision: revisions?.[index] ?? 1,
  }));
}
