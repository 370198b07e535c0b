import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { maskLastDigits } from "../../domain/privacy/masking.ts";
import { readColumn, readRows, type Tx } from "../database/run.ts";
import { type FindingCheck, readPage, readSystemPage, type Verification } from "./verification.ts";

const PAGE = 5_000;
/** Seconds; the rows of a younger claim may be on their way. */
const CLAIM_AGE_S = 3_600;
/** The states in which a carrier holds a number: PROVISIONED and ASSIGNED. */
const HELD = sql`(1, 2)`;

/** Every number is as the feed's last entry says, and claimed by the carrier if it holds it. */
export async function verifyNumbers(verification: Verification): Promise<void> {
  const { carrierId, report } = verification;
  let after = "";
  while (true) {
    const from = after;
    const page = await readPage(verification, (tx) => readNumberPage(tx, carrierId, from));
    for (const row of page.rows) report("NUMBER_ENTRY", `${maskLastDigits(row.phoneNumber)}, revision ${row.revision}`);
    const unclaimed = await readSystemPage(verification, (tx) => readUnclaimed(tx, carrierId, from, page.last));
    for (const number of unclaimed) report("NUMBER_WITHOUT_CLAIM", maskLastDigits(number));
    if (page.last === undefined) return;
    after = page.last;
  }
}

/** Every claim: its carrier has the number, or it is young, or the number is being ported. */
export async function verifyClaims(
  verification: Pick<Verification, "db" | "signal" | "turn">,
  report: (carrierId: string, check: FindingCheck, detail: string) => void,
): Promise<void> {
  let after: string | undefined = "";
  while (after !== undefined) {
    const from: string = after;
    const page = await readSystemPage(verification, (tx) => readClaimPage(tx, from));
    for (const row of page.rows) report(row.carrierId, "CLAIM_WITHOUT_NUMBER", maskLastDigits(row.phoneNumber));
    after = page.last;
  }
}

// A row must come from the last entry of its number, unless that entry has aged away.
async function readNumberPage(tx: Tx, carrierId: string, after: string) {
  const rows = await readRows(tx)<{ phoneNumber: string; revision: bigint; wrong: boolean; isLast: boolean }>`
    WITH page AS MATERIALIZED (
      SELECT phone_number, revision FROM phone_number WHERE carrier_id = ${carrierId} AND phone_number > ${after}
      ORDER BY phone_number LIMIT ${PAGE}
    ), checked AS (
      SELECT p.*, (p.revision >= h.earliest_sequence AND e.sequence IS NULL) OR p.revision >= h.next_sequence
          OR EXISTS (SELECT FROM number_entry n
            WHERE n.carrier_id = ${carrierId} AND n.phone_number = p.phone_number AND n.sequence > p.revision OFFSET 0)
          AS wrong,
        count(*) OVER () = ${PAGE} AND row_number() OVER (ORDER BY p.phone_number) = ${PAGE} AS is_last
      FROM page p JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = ${FeedId.NUMBERS}
      LEFT JOIN LATERAL (
        SELECT e.sequence FROM number_entry e
        WHERE e.carrier_id = ${carrierId} AND e.sequence = p.revision AND e.phone_number = p.phone_number LIMIT 1) e ON true
    )
    SELECT phone_number, revision, wrong, is_last FROM checked WHERE wrong OR is_last`;
  return { rows: rows.filter((row) => row.wrong), last: rows.find((row) => row.isLast)?.phoneNumber };
}

// While a port is unfinished, the claim says nothing.
function readUnclaimed(tx: Tx, carrierId: string, after: string, last: string | undefined): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT p.phone_number FROM phone_number p
    WHERE p.carrier_id = ${carrierId} AND p.phone_number > ${after} AND (${last ?? null}::text IS NULL OR p.phone_number <= ${last ?? null})
      AND p.state IN ${HELD} 
      AND NOT EXISTS (SELECT FROM number_owner o WHERE o.phone_number = p.phone_number AND o.carrier_id = ${carrierId} OFFSET 0)
      AND NOT EXISTS (SELECT FROM number_port t WHERE t.phone_number = p.phone_number AND t.stage < 3 OFFSET 0)
    ORDER BY p.phone_number LIMIT 100`;
}

async function readClaimPage(tx: Tx, after: string) {
  const rows = await readRows(tx)<{ phoneNumber: string; carrierId: string; stray: boolean; isLast: boolean }>`
    WITH page AS MATERIALIZED (
      SELECT phone_number, carrier_id, claim_time FROM number_owner WHERE phone_number > ${after} ORDER BY phone_number LIMIT ${PAGE}
    ), checked AS (
      SELECT o.phone_number, o.carrier_id, row_number() OVER (ORDER BY o.phone_number) = ${PAGE} AS is_last,
        o.claim_time < clock_timestamp() - make_interval(secs => ${CLAIM_AGE_S})
          AND NOT EXISTS (
            SELECT FROM phone_number p WHERE p.carrier_id = o.carrier_id AND p.phone_number = o.phone_number AND p.state IN ${HELD} OFFSET 0)
          AND NOT EXISTS (SELECT FROM number_port t WHERE t.phone_number = o.phone_number AND t.stage < 3 OFFSET 0) AS stray
      FROM page o
    )
    SELECT phone_number, carrier_id, stray, is_last FROM checked WHERE stray OR is_last`;
  return { rows: rows.filter((row) => row.stray), last: rows.find((row) => row.isLast)?.phoneNumber };
}
