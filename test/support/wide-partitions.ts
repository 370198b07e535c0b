import { sql } from "kysely";
import { addDays } from "../../src/domain/time/instant.ts";
import { type Database, ownerTransaction } from "../../src/store/database/database.ts";
import { AGING_TABLES, ensurePartitions } from "../../src/store/database/partitions.ts";

/**
 * Makes few partitions for each table in place of one a week: all weeks before this one, this one,
 * and all to come. A copy of the database is smaller, and each connection learns less before its
 * first statement.
 */
export async function makeWidePartitions(db: Database): Promise<void> {
  const thisWeek = monday();
  await ownerTransaction(db, async (tx) => {
    for (const table of AGING_TABLES) {
      const first = addDays(thisWeek, table.endsWith("_key") ? -7 * 60 : -7);
      for (const [name, start, end] of [
        ["past", first, thisWeek],
        ["present", thisWeek, addDays(thisWeek, 7)],
        ["future", addDays(thisWeek, 7), addDays(thisWeek, 7 * 6)],
      ])
        await sql
          .raw(`CREATE TABLE ${table}_${name} PARTITION OF ${table} FOR VALUES FROM ('${start}') TO ('${end}')`)
          .execute(tx);
    }
  });
}

/** Puts weekly partitions, as every server has them, in the place of wide ones. */
export async function makeWeeklyPartitions(db: Database): Promise<void> {
  await ownerTransaction(db, async (tx) => {
    for (const table of AGING_TABLES)
      await sql.raw(`DROP TABLE ${table}_past, ${table}_present, ${table}_future`).execute(tx);
  });
  await ensurePartitions(db);
}

// Of the week that is now, in UTC.
function monday(): string {
  const today = new Date();
  return addDays(today.toISOString().slice(0, 10), -((today.getUTCDay() + 6) % 7));
}
