import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DeliveryWatch } from "../../src/domain/delivery-watch.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { ErasureState, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { EraseJob } from "../../src/jobs/erase.ts";
import { ownerTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { releaseLease, takeLease } from "../../src/store/database/job-lease.ts";
import { readClock } from "../../src/store/database/run.ts";
import { beat } from "../../src/store/database/serving-processes.ts";
import { insertErasure } from "../../src/store/privacy/erasures.ts";
import { askErasure, erase, untilErased } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { runSql } from "../support/feed.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("alpha", { timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", ["+4532123400"]);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const stateOf = async (erasureId: string) => {
  const [row] = await runSql<{ state: number; drains: boolean }>(
    exchange,
    sql`SELECT state, drain_time IS NOT NULL AS drains FROM erasure WHERE erasure_id = ${erasureId}`,
  );
  return row;
};

test("Erasure: what a process may still deliver is told as no younger than it is, however long the telling takes", async () => {
  const { db } = exchange.services;
  const deliveries = new DeliveryWatch();
  using _held = deliveries.hold();
  const readBefore = await systemTransaction(db, readClock);
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const locking = ownerTransaction(db, async (tx) => {
    await sql`LOCK TABLE serving_process IN ACCESS EXCLUSIVE MODE`.execute(tx);
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const beating = systemTransaction(db, (tx) => beat(tx, "test", () => deliveries.oldestMs));
  // The telling waits, while what may still be delivered grows old.
  const blocked = `SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO serving_process%'`;
  await expect.poll(async () => (await db.pool.query(blocked)).rowCount).toBeGreaterThan(0);
  await expect.poll(() => deliveries.oldestMs).toBeGreaterThan(300);
  release.resolve();
  await Promise.all([locking, beating]);
  const [row] = await runSql<{ clear_time: bigint }>(
    exchange,
    sql`DELETE FROM serving_process WHERE process_id = 'test' RETURNING clear_time`,
  );
  expect(row && row.clear_time <= readBefore).toBe(true);
});

test("Erasure: one that was stopped after its last rewrite waits for what may still be delivered before it gives a receipt", async () => {
  await runSql(
    exchange,
    sql`INSERT INTO serving_process VALUES ('other', clock_timestamp() + interval '1 hour', clock_timestamp() - interval '1 hour')`,
  );
  const { erasureId } = await askErasure(exchange, "+4587650011");
  await expect.poll(() => stateOf(erasureId)).toEqual({ state: ErasureState.DRAINING, drains: true });
  await runSql(exchange, sql`UPDATE erasure SET state = 2, drain_time = NULL WHERE erasure_id = ${erasureId}`);
  await expect.poll(() => stateOf(erasureId)).not.toMatchObject({ state: ErasureState.RUNNING });
  expect(await stateOf(erasureId)).toEqual({ state: ErasureState.DRAINING, drains: true });
  await runSql(exchange, sql`DELETE FROM serving_process WHERE process_id = 'other'`);
  expect((await untilErased(exchange, erasureId)).state).toBe(ErasureState.COMPLETED);
});

test("Erasure: whoever carries a long one out says meanwhile that it lives", async () => {
  const { db, erasures, installation } = exchange.services;
  const { journal } = erasures;
  const request = { carrierId: "alpha", job: "reconcile", holder: "test", ttlS: 60 };
  const lease = await systemTransaction(db, (tx) => takeLease(tx, request));
  if (!lease) throw new Error("the lease is another's");
  const errors: unknown[] = [];
  await using job = new EraseJob({
    db,
    journal,
    hashSecret: installation.secret,
    deliveries: new DeliveryWatch(),
    sharedAgeMs: 0,
    intervalMs: 5,
    beatMs: 20,
    onAppended: () => {},
    onError: (error) => void errors.push(error),
  });
  await job.start(false);
  const now = String(microsFromMs(Date.now()));
  const entry = {
    erasureId: "long",
    requestId: "long",
    phoneNumber: "+4587650012",
    start: "0",
    end: now,
    role: SubjectRole.ANY,
    caseReference: "case",
    verifiedBy: "desk",
    requestedBy: "test",
    createTime: now,
  };
  const row = { ...entry, start: 0n, end: BigInt(now), createTime: BigInt(now), journal: journal.seal(entry).sealed };
  await systemTransaction(db, (tx) => insertErasure(tx, row));
  await expect.poll(async () => (await stateOf("long"))?.state).toBe(ErasureState.RUNNING);
  const beatOf = async () => {
    const [process] = await runSql<{ beat_time: bigint }>(
      exchange,
      sql`SELECT p.beat_time FROM serving_process p JOIN job_lease l ON l.holder = p.process_id WHERE l.job = 'erase'`,
    );
    return process?.beat_time ?? 0n;
  };
  const first = await beatOf();
  await expect.poll(async () => (await beatOf()) > first).toBe(true);
  await systemTransaction(db, (tx) => releaseLease(tx, lease));
  await untilErased(exchange, "long");
  expect(errors).toEqual([]);
});

test("Erasure: one that cannot be carried out keeps no other from it", async () => {
  await runSql(
    exchange,
    sql`INSERT INTO erasure (erasure_id, request_id, state, start_time, end_time, role, case_reference, verified_by, requested_by, journal, create_time)
        VALUES ('poison', 'poison', 1, '2020-01-01Z', '2020-02-01Z', 3, 'case', 'desk', 'test', decode(repeat('00', 40), 'hex'), '2020-03-01Z')`,
  );
  expect((await erase(exchange, "+4587650013")).state).toBe(ErasureState.COMPLETED);
});
