import { type Database, systemTransaction } from "../../src/store/database/database.ts";
import type { Tx } from "../../src/store/database/run.ts";

/** Runs something in a system transaction of which nothing stays, and gives what it gave. */
export async function undone<T>(db: Database, run: (tx: Tx) => Promise<T>): Promise<T> {
  const done = new Error("undone");
  let result: { readonly value: T } | undefined;
  const undo = systemTransaction(db, async (tx) => {
    result = { value: await run(tx) };
    throw done;
  });
  await undo.catch((error: unknown) => {
    if (error !== done) throw error;
  });
  if (!result) throw done;
  return result.value;
}
