import type { RawBuilder } from "kysely";
import { run, type Tx } from "./database.ts";

/**
 * Sends an INSERT that is to write so many rows. Rows of arrays are selected with the row of whom
 * they are of: `FROM carrier c CROSS JOIN unnest(...) WHERE c.carrier_id = $1`. What comes of
 * arrays alone goes by COPY on a cluster, which row-level security refuses; the row that is read
 * beside them lies where they go. Nobody may delete a carrier; where it is not there all the same,
 * nothing would be written.
 * @throws Error when it wrote fewer.
 */
export async function insertAll(tx: Tx, query: RawBuilder<unknown>, count: number): Promise<void> {
  const written = await run(tx, query);
  if (written.count !== count)
    throw new Error(`an INSERT of ${count} rows wrote ${written.count}: the carrier does not exist`);
}
