import { sql } from "kysely";
import type { KnownRevision } from "../../domain/calls/judge.ts";
import type { RecordKind } from "../../domain/record-kind.ts";
import { addDays } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { run, type Tx, together } from "../database/run.ts";

/**
 * Finds every stored revision, applied or in quarantine, of the records' ids on their days and on
 * the days beside them. The days are constants of the statement, so that the planner leaves out all
 * other partitions. Call it with `byIndexOnly`.
 */
export async function findKnownRevisions(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  records: readonly { recordId: string; recordDate: string }[],
): Promise<KnownRevision[]> {
  // Days far apart are looked up in separate runs: a batch that mixes today with last year must not
  // open every partition between.
  const runs = dayRuns(records).map(({ first, last, ids }) =>
    lookUp(tx, carrierId, kind, { ids, first: addDays(first, -1), last: addDays(last, 1) }),
  );
  return (await together(runs)).flat();
}

async function lookUp(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  { ids, first, last }: { ids: readonly string[]; first: string; last: string },
): Promise<KnownRevision[]> {
  const keys = sql.table(kind.keys);
  const wanted = textArray(ids);
  return (
    await run(tx)<KnownRevision>`
    SELECT k.record_id, k.record_date, k.revision, k.content_hash, k.party_hash, false AS quarantined FROM ${keys} k
    WHERE k.carrier_id = ${carrierId} AND k.record_id = ANY(${wanted}::text[])
      AND k.record_date BETWEEN ${sql.lit(first)}::date AND ${sql.lit(last)}::date
    UNION ALL
    SELECT q.record_id, q.record_date, q.revision, q.content_hash, 0, true FROM quarantine q
    WHERE q.carrier_id = ${carrierId} AND q.kind = ${kind.upload} AND q.record_id = ANY(${wanted}::text[])
      AND q.record_date BETWEEN ${sql.lit(first)}::date AND ${sql.lit(last)}::date`
  ).rows;
}

/** How many days apart two records may be and still be looked up together. */
const MAX_RUN_GAP_DAYS = 14;

function dayRuns(
  records: readonly { recordId: string; recordDate: string }[],
): { first: string; last: string; ids: string[] }[] {
  const byDay = new Map<string, string[]>();
  for (const { recordId, recordDate } of records) {
    const ids = byDay.get(recordDate);
    if (ids) ids.push(recordId);
    else byDay.set(recordDate, [recordId]);
  }
  const runs: { first: string; last: string; ids: string[] }[] = [];
  for (const day of [...byDay.keys()].sort()) {
    const ids = byDay.get(day) ?? [];
    const run = runs.at(-1);
    if (run && day <= addDays(run.last, MAX_RUN_GAP_DAYS)) {
      run.last = day;
      for (const id of ids) run.ids.push(id);
    } else runs.push({ first: day, last: day, ids: [...ids] });
  }
  return runs;
}
