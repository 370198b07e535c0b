import { sql } from "kysely";
import { CDR, DURATION } from "../../domain/record-kind.ts";
import { Tally } from "../carriers/carrier-tally.ts";
import { readRows, type Tx } from "../database/run.ts";
import { readPage, type Verification } from "./verification.ts";

/** As many numbers as the tally says, and of all else no more. */
export async function verifyTallies(verification: Verification): Promise<void> {
  for (const { what, counted, tally } of await readPage(verification, (tx) =>
    readTallies(tx, verification.carrierId),
  )) {
    const isRight = what === Tally.NUMBERS ? tally === counted : tally >= counted;
    if (!isRight) verification.report("TALLY_WRONG", `${NAMES[what]}: the tally says ${tally}, there are ${counted}`);
  }
}

const NAMES: Readonly<Record<Tally, string>> = {
  [Tally.NUMBERS]: "numbers held",
  [Tally.OPEN_DURATION_UPLOADS]: "open uploads of durations",
  [Tally.OPEN_CDR_UPLOADS]: "open uploads of call detail records",
  [Tally.CONSUMERS]: "consumers",
};

// One statement, and so one state: a tally and what it counts are changed in one transaction.
function readTallies(tx: Tx, carrierId: string) {
  return readRows(tx)<{ what: Tally; counted: bigint; tally: bigint }>`
    SELECT c.what, c.counted, COALESCE(t.held, 0) AS tally
    FROM (
      SELECT ${Tally.NUMBERS}::int2 AS what, count(*) AS counted FROM phone_number
      WHERE carrier_id = ${carrierId} AND state IN (1, 2)
      UNION ALL SELECT ${Tally.OPEN_DURATION_UPLOADS}::int2, count(*) FROM upload
      WHERE carrier_id = ${carrierId} AND kind = ${sql.lit(DURATION.upload)} AND NOT sealed
      UNION ALL SELECT ${Tally.OPEN_CDR_UPLOADS}::int2, count(*) FROM upload
      WHERE carrier_id = ${carrierId} AND kind = ${sql.lit(CDR.upload)} AND NOT sealed
      UNION ALL SELECT ${Tally.CONSUMERS}::int2, count(*) FROM cdr_consumer WHERE carrier_id = ${carrierId}
    ) c
    LEFT JOIN carrier_tally t ON t.carrier_id = ${carrierId} AND t.what = c.what
    ORDER BY c.what`;
}
