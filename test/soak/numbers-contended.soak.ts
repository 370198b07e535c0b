import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { createTandemTransport } from "../../src/client/transport.ts";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { type Database, systemTransaction } from "../../src/store/database/database.ts";
import { sweepClaims } from "../../src/store/numbers/number-owners.ts";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { startExchange } from "../support/exchange.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import { fromNow, newRequestId, provisionItem, takeNumbers } from "../support/numbers.ts";

const CARRIERS = ["alpha", "beta", "gamma"];
const WORKERS = 6;
const ROUNDS = 40;

test("carriers and platform that fight for the same numbers in two processes leave one holder, one history and a dense feed", async () => {
  await using exchange = await startExchange();
  const second = await exchange.openSecondApp();
  const { db } = exchange.services;
  for (const carrierId of CARRIERS) await exchange.addCarrier(carrierId);
  const numbers = takeNumbers(12);
  await using stack = new AsyncDisposableStack();
  const connect = async (url: string) => {
    const transport = (token: string) => stack.use(createTandemTransport({ baseUrl: url, token }));
    const carriers = new Map(
      await Promise.all(
        CARRIERS.map(
          async (id) => [id, createClient(NumberService, transport(await exchange.carrierToken(id)))] as const,
        ),
      ),
    );
    return { carriers, platform: createClient(PlatformNumberService, transport(await exchange.platformToken())) };
  };
  const processes = [await connect(exchange.url), await connect(second.url)];

  let seed = 42;
  const random = (limit: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * limit);
  };
  const pick = <T>(from: readonly T[]) => from[random(from.length)] as T;
  const some = () => [...new Set(Array.from({ length: 1 + random(4) }, () => pick(numbers)))];
  const act = async () => {
    const { carriers, platform } = pick(processes);
    const carrierId = pick(CARRIERS);
    const carrier = carriers.get(carrierId);
    const requestId = newRequestId();
    const when = pick([{}, {}, { effectiveTime: fromNow(30 + random(200)) }]);
    switch (random(5)) {
      case 0:
        return carrier?.provisionNumbers({
          requestId,
          items: some().map((number) =>
            provisionItem(number, pick([{}, { locationId: "x" }, { effectiveTime: fromNow(-random(500)) }])),
          ),
        });
      case 1:
        return carrier?.releaseNumbers({ requestId, phoneNumbers: some() });
      case 2: {
        const items = some().map((phoneNumber) => ({
          phoneNumber,
          customerId: pick(["c1", "c2"]),
          assigneeKind: 1,
          ...when,
        }));
        return platform.assignNumbers({ requestId, carrierId, items });
      }
      case 3:
        return platform.unassignNumbers({ requestId, carrierId, phoneNumbers: some(), ...when });
      default: {
        const toCarrierId = pick(CARRIERS.filter((id) => id !== carrierId));
        const effectiveTime = fromNow(pick([-1, 40 + random(200)]));
        return platform.portNumbers({ requestId, carrierId, toCarrierId, phoneNumbers: some(), effectiveTime });
      }
    }
  };
  const worker = async () => {
    for (let round = 0; round < ROUNDS; round++) await act();
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
  await expect.poll(() => countScheduled(db)).toBe(0);

  expect(await findOverlaps(db)).toEqual([]);
  expect(await findSecondHolders(db)).toEqual([]);
  expect(await findGaps(db)).toEqual([]);
  expect(await findStaleRows(db)).toEqual([]);
  // Everybody who gave up has freed: the sweeper finds nothing but the claims of those who hold.
  expect((await systemTransaction(db, (tx) => sweepClaims(tx, "", 0))).freed).toBe(0);
  expect(await findUnclaimed(db)).toEqual([]);
  expect(await verifyAll(db, AbortSignal.timeout(EVENTUALLY_MS))).toEqual([]);
});

function query(db: Database, statement: string): Promise<unknown[]> {
  return systemTransaction(db, async (tx) => (await sql.raw<unknown>(statement).execute(tx)).rows);
}

async function countScheduled(db: Database): Promise<number> {
  const rows = await query(
    db,
    `SELECT 1 FROM number_port WHERE stage < 3 UNION ALL SELECT 1 FROM number_holding WHERE revision = 0
     UNION ALL SELECT 1 FROM number_owner WHERE in_transit`,
  );
  return rows.length;
}

function findOverlaps(db: Database) {
  return query(
    db,
    `SELECT a.phone_number, a.carrier_id, b.carrier_id AS other FROM number_holding a JOIN number_holding b ON a.phone_number = b.phone_number
     AND (a.carrier_id, a.start_time) < (b.carrier_id, b.start_time) AND a.start_time < b.end_time AND b.start_time < a.end_time`,
  );
}

function findSecondHolders(db: Database) {
  return query(
    db,
    "SELECT phone_number FROM phone_number WHERE state IN (1, 2) GROUP BY phone_number HAVING count(*) > 1",
  );
}

function findGaps(db: Database) {
  return query(
    db,
    `SELECT h.carrier_id FROM feed_head h LEFT JOIN number_entry e ON e.carrier_id = h.carrier_id WHERE h.feed = 1
     GROUP BY h.carrier_id, h.next_sequence
     HAVING count(e.sequence) <> h.next_sequence - 1 OR COALESCE(max(e.sequence), 0) <> h.next_sequence - 1`,
  );
}

// A row is its last entry, and names the state before as that entry's predecessor left it.
function findStaleRows(db: Database) {
  return query(
    db,
    `SELECT p.carrier_id, p.phone_number FROM phone_number p
     JOIN LATERAL (SELECT * FROM number_entry e WHERE e.carrier_id = p.carrier_id AND e.phone_number = p.phone_number ORDER BY sequence DESC LIMIT 1) e ON true
     WHERE e.sequence <> p.revision OR e.payload <> p.payload OR e.state <> p.state
     UNION ALL
     SELECT carrier_id, phone_number FROM (
       SELECT *, lag(state) OVER (PARTITION BY carrier_id, phone_number ORDER BY sequence) AS last_state FROM number_entry) AS e
     WHERE previous_state IS DISTINCT FROM last_state`,
  );
}

function findUnclaimed(db: Database) {
  return query(
    db,
    `SELECT p.carrier_id, p.phone_number FROM phone_number p LEFT JOIN number_owner o ON o.phone_number = p.phone_number AND o.carrier_id = p.carrier_id
     WHERE p.state IN (1, 2) AND o.phone_number IS NULL`,
  );
}
