import { create } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hash64 } from "../../src/domain/matching/signalling-ids.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { erase, searchDatabase, untilReconciled } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, runSql, timestamp } from "../support/feed.ts";

const OWN = "+4532123400";
const START_MS = Date.now() - 4 * 3_600_000;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN, "+4532123401"]);
});
afterAll(() => exchange[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });

function platformCall(id: string, other: string, minute: number, changes: object = {}, own = OWN) {
  const parties = { calling: e164(own), called: e164(other) };
  return call(id, { parties, ...changes }, START_MS + minute * 60_000);
}

test("Erasure: hashes of ids that held the number go, and those of what stands in their place find the call", async () => {
  const person = "+4587654321";
  const ids = (name: string) => ({ correlation: { interconnectDialog: { callId: `87654321-${name}@sbc` } } });
  const gone = { ...ids("gone"), callId: "leg 87654321 gone" };
  await ingest(exchange, "alpha", [
    platformCall("c-pair", person, 0, ids("pair")),
    platformCall("c-alone", person, 10, ids("alone")),
    platformCall("c-gone", person, 20, gone),
    platformCall("c-other", "+4540000001", 30, gone),
  ]);
  const inviteMs = START_MS;
  const client = await exchange.carrierClient(DurationService, "alpha");
  await client.appendDurations({
    uploadId: "u-1",
    records: [
      create(CallDurationSchema, {
        recordId: "d-pair",
        recordDate: new Date(inviteMs).toISOString().slice(0, 10),
        direction: 1,
        answered: true,
        calling: e164(OWN),
        called: e164(person),
        inviteTime: timestamp(inviteMs),
        answerTime: timestamp(inviteMs + 5_000),
        connectedDurationMs: 60_000n,
        ...ids("pair"),
      }),
    ],
  });
  await untilReconciled(exchange, "alpha", 4);
  await runSql(
    exchange,
    sql`UPDATE call_result SET correlation_key = 42, call_id = 'leg 87654321' WHERE record_id = 'c-pair'`,
  );
  // Past their retention, as results may outlast their records.
  await runSql(exchange, sql`DELETE FROM cdr_record WHERE record_id IN ('c-gone', 'c-other')`);
  await runSql(exchange, sql`DELETE FROM cdr_key WHERE record_id IN ('c-gone', 'c-other')`);
  const keysOf = async (recordId: string) => {
    const [row] = await runSql<{ id_keys: bigint[] | null }>(
      exchange,
      sql`SELECT id_keys FROM call_result WHERE record_id = ${recordId}`,
    );
    return row?.id_keys;
  };
  expect(await keysOf("c-pair")).toEqual([hash64("dialog/87654321-pair@sbc")]);
  expect(await keysOf("c-gone")).toEqual([hash64("dialog/87654321-gone@sbc")]);

  await erase(exchange, person, { role: SubjectRole.OTHER_PARTY });
  expect(await keysOf("c-pair")).toEqual([hash64("dialog/********-pair@sbc")]);
  expect(await keysOf("c-alone")).toEqual([hash64("dialog/********-alone@sbc")]);
  expect([await keysOf("c-gone"), await keysOf("c-other")]).toEqual([null, null]);
  expect(await searchDatabase(exchange.databaseUrl, person, "87654321")).toEqual([]);
  // By the carrier's record, of which it names the id only: a pair that is far from it must be
  // found by it.
  expect(await runSql(exchange, sql`SELECT correlation_key FROM call_result WHERE record_id = 'c-pair'`)).toEqual([
    { correlation_key: 42n },
  ]);
});

test("Erasure: what a VOID inherited goes, also out of a copy that a hold has left", async () => {
  const [person, own] = ["+4587651234", "+4532123401"];
  const changes = { correlation: { interconnectDialog: { callId: "87651234-void@sbc" } } };
  await ingest(exchange, "alpha", [platformCall("v-1", person, 40, changes, own)]);
  await ingest(exchange, "alpha", [call("v-1", { revision: 2, kind: RecordKind.VOID }, START_MS + 40 * 60_000)]);
  await runSql(
    exchange,
    sql`
    INSERT INTO held_record (carrier_id, side, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction,
      phone_number, dialog_call_id, quality_verdict, payload)
    SELECT carrier_id, 1, sequence, ingest_time, record_id, record_date, revision, entry_kind, invite_time, direction, phone_number, dialog_call_id,
      quality_verdict, payload FROM cdr_record WHERE record_id = 'v-1' AND revision = 2`,
  );
  await untilReconciled(exchange, "alpha", 5);
  await erase(exchange, person, { role: SubjectRole.OTHER_PARTY });
  const places = async (number: string, national: string) => {
    const found = await searchDatabase(exchange.databaseUrl, number, national);
    return found.filter((place) => /^(cdr_record|held_record|call_result)/.test(place));
  };
  expect(await places(person, "87651234")).toEqual([]);
  expect(await places(own, "32123401")).not.toEqual([]);
  await erase(exchange, own, { role: SubjectRole.SUBSCRIBER });
  expect(await places(own, "32123401")).toEqual([]);
});

test("Erasure: of records without a start more than one page is looked through", async () => {
  const person = "+4587654444";
  const inviteMs = START_MS;
  const client = await exchange.carrierClient(DurationService, "alpha");
  const records = Array.from({ length: 450 }, (_, index) =>
    create(CallDurationSchema, {
      recordId: `void-${index}`,
      recordDate: new Date(inviteMs).toISOString().slice(0, 10),
      kind: RecordKind.VOID,
      customerReference: `ref ${person}`,
    }),
  );
  const { counts } = await client.appendDurations({ uploadId: "u-void", records });
  expect(counts).toMatchObject({ rejected: 0n, quarantined: 0n });
  const left = () => searchDatabase(exchange.databaseUrl, person, "87654444");
  expect(await left()).not.toEqual([]);
  await runSql(exchange, sql`UPDATE reconcile_position SET duration_sequence = 1000000 WHERE carrier_id = 'alpha'`);
  await erase(exchange, person, { role: SubjectRole.ANY, startMs: START_MS - 60_000 });
  expect(await left()).toEqual([]);
});
