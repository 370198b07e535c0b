import { outlivingCall } from "../database/callers.ts";
import { carrierTransaction, type Database } from "../database/database.ts";
import { readValue, run, type Tx } from "../database/run.ts";
import { readTally, Tally } from "./carrier-tally.ts";

// The tally of numbers is compared with the rows before it refuses anything, in case somebody else
// wrote to the database.

/** A carrier may hold ten million numbers: while it is full, they are not counted for each call. */
const RECOUNT_EVERY_MS = 600_000;
/** Most carriers whose last count is remembered. */
const MAX_REMEMBERED = 1_000;
const MAX_ATTEMPTS = 3;
const COUNT_MS = 60_000;

interface Recount {
  readonly startedAtMs: number;
  endedAtMs: number;
  /** While it runs: whoever asks meanwhile waits for it too. */
  running: Promise<void> | undefined;
}

const recounts = new WeakMap<Database, Map<string, Recount>>();

/**
 * Recounts a carrier's numbers, unless this process has just done so.
 * @param readAtMs when the caller began to read the tally.
 * @returns whether to read the tally again.
 */
export async function recountNumbers(db: Database, carrierId: string, readAtMs: number): Promise<boolean> {
  const known = recounts.get(db) ?? new Map<string, Recount>();
  recounts.set(db, known);
  const last = known.get(carrierId);
  if (!last?.running && last && performance.now() - last.startedAtMs < RECOUNT_EVERY_MS) {
    return last.endedAtMs >= readAtMs;
  }
  await (last?.running ?? startRecount(db, known, carrierId));
  return true;
}

function startRecount(db: Database, known: Map<string, Recount>, carrierId: string): Promise<void> {
  const recount: Recount = { startedAtMs: performance.now(), endedAtMs: 0, running: undefined };
  remember(known, carrierId, recount);
  const count = async () => {
    let isRight = false;
    try {
      isRight = await outlivingCall(() => correctTally(db, carrierId));
    } finally {
      recount.running = undefined;
      recount.endedAtMs = performance.now();
      if (!isRight) known.delete(carrierId);
    }
  };
  recount.running = count();
  return recount.running;
}

function remember(known: Map<string, Recount>, carrierId: string, recount: Recount): void {
  known.delete(carrierId);
  known.set(carrierId, recount);
  const [oldest] = known.keys();
  if (known.size > MAX_REMEMBERED && oldest !== undefined) known.delete(oldest);
}

// Counts in one snapshot without a lock. The tally is corrected only if it still is what the
// snapshot saw, so that two processes do not both do so. Returns whether it is right.
async function correctTally(db: Database, carrierId: string): Promise<boolean> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { tally, held } = await carrierTransaction(db, carrierId, (tx) => readBoth(tx, carrierId), {
      snapshot: true,
      statementTimeoutMs: COUNT_MS,
    });
    if (tally === held) return true;
    const corrected = await carrierTransaction(
      db,
      carrierId,
      (tx) =>
        run(tx)`UPDATE carrier_tally SET held = ${held}::bigint
        WHERE carrier_id = ${carrierId} AND what = ${Tally.NUMBERS} AND held = ${tally}::bigint`,
    );
    if (corrected.count === 1) return true;
  }
  return false;
}

async function readBoth(tx: Tx, carrierId: string): Promise<{ tally: bigint; held: bigint }> {
  const held = await readValue(tx)<bigint>`
    SELECT count(*) AS held FROM phone_number WHERE carrier_id = ${carrierId} AND state IN (1, 2)`;
  return { tally: await readTally(tx, carrierId, Tally.NUMBERS), held };
}
