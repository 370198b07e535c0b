import pg from "pg";

// A backup of one carrier, and what a restore of it does: every row of the carrier is as it was,
// whatever happened since.

const TABLES = [
  "feed_head",
  "upload",
  "upload_batch",
  "upload_reject",
  "quarantine",
  "cdr_key",
  "duration_key",
  "cdr_record",
  "cdr_quality",
  "cdr_network",
  "duration_record",
] as const;

/** Copies a carrier's rows, as of one moment, aside; over an earlier backup of it. */
export async function backUpCarrier(databaseUrl: string, carrierId: string): Promise<void> {
  await inTransaction(databaseUrl, "BEGIN ISOLATION LEVEL REPEATABLE READ", async (client) => {
    for (const table of TABLES) {
      await client.query(`CREATE TABLE IF NOT EXISTS backup_${table} (LIKE ${table})`);
      await client.query(`DELETE FROM backup_${table} WHERE carrier_id = $1`, [carrierId]);
      await client.query(`INSERT INTO backup_${table} SELECT * FROM ${table} WHERE carrier_id = $1`, [carrierId]);
    }
  });
}

/**
 * Puts a carrier back to its backup. Transactions that are under way come before it or find it
 * done.
 */
export async function restoreCarrier(databaseUrl: string, carrierId: string): Promise<void> {
  await inTransaction(databaseUrl, "BEGIN", async (client) => {
    // The order in which writers lock.
    await client.query("SELECT FROM upload WHERE carrier_id = $1 ORDER BY kind, upload_id FOR UPDATE", [carrierId]);
    await client.query("SELECT FROM feed_head WHERE carrier_id = $1 ORDER BY feed FOR UPDATE", [carrierId]);
    for (const table of TABLES) {
      const keys = LOCKED[table];
      if (keys) await restoreInPlace(client, table, keys, carrierId);
      else {
        await client.query(`DELETE FROM ${table} WHERE carrier_id = $1`, [carrierId]);
        await client.query(`INSERT INTO ${table} SELECT * FROM backup_${table} WHERE carrier_id = $1`, [carrierId]);
      }
    }
  });
}

/**
 * Rows that writers wait for: to those, a row that is deleted and made anew would be one that is
 * gone.
 */
const LOCKED: Readonly<Record<string, string>> = { feed_head: "feed", upload: "kind, upload_id" };

async function restoreInPlace(client: pg.Client, table: string, keys: string, carrierId: string): Promise<void> {
  const { rows } = await client.query<{ columns: string }>(
    `SELECT string_agg(quote_ident(column_name), ', ') AS columns FROM information_schema.columns
     WHERE table_name = $1 AND table_schema = current_schema()`,
    [table],
  );
  const columns = rows[0]?.columns ?? "";
  const backup = `SELECT ${keys} FROM backup_${table} WHERE carrier_id = $1`;
  await client.query(`DELETE FROM ${table} WHERE carrier_id = $1 AND (${keys}) NOT IN (${backup})`, [carrierId]);
  const mine = keys.replaceAll(/(\w+)/g, "t.$1");
  await client.query(
    `UPDATE ${table} t SET (${columns}) = (SELECT ${columns} FROM backup_${table} b
       WHERE b.carrier_id = $1 AND (${keys.replaceAll(/(\w+)/g, "b.$1")}) = (${mine}))
     WHERE t.carrier_id = $1`,
    [carrierId],
  );
  // Those that were taken away since, of which a test may have none.
  await client.query(
    `INSERT INTO ${table} SELECT * FROM backup_${table} b WHERE b.carrier_id = $1
       AND NOT EXISTS (SELECT FROM ${table} t WHERE t.carrier_id = $1 AND (${mine}) = (${keys.replaceAll(/(\w+)/g, "b.$1")}))`,
    [carrierId],
  );
}

async function inTransaction(databaseUrl: string, begin: string, run: (client: pg.Client) => Promise<void>) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(begin);
    await run(client);
    await client.query("COMMIT");
  } finally {
    await client.end();
  }
}
