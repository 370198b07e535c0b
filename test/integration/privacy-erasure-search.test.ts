import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { numberHash } from "../../src/domain/numbers/number-hash.ts";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import {
  ErasureExceptionReason,
  ErasureState,
  PrivacyService,
  SubjectRole,
} from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { openLog } from "../../src/log.ts";
import { dumpDatabase, erase, findNumber, searchDatabase, untilReconciled } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, runSql, timestamp } from "../support/feed.ts";
import { fromNow, newRequestId, provisionItem } from "../support/numbers.ts";
import { reasonOf } from "../support/refusal.ts";

const OWN = "+4532123400";
const HOUR_MS = 3_600_000;
const START_MS = Date.now() - 4 * HOUR_MS;
const lines: string[] = [];

let exchange: Exchange;
beforeAll(async () => {
  const log = openLog("trace", (line) => void lines.push(line));
  exchange = await startExchange({ reconcileIntervalMs: 100, heartbeatIntervalMs: 100 }, log);
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.addCarrier("bell", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN]);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });
const written = (value: string) => ({ kind: PartyKind.NON_E164, value });

function carrierCall(id: string, called: { kind: PartyKind; value: string }, minute: number, more: object = {}) {
  const inviteMs = START_MS + minute * 60_000;
  return create(CallDurationSchema, {
    recordId: id,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    direction: 1,
    answered: true,
    calling: e164(OWN),
    called,
    inviteTime: timestamp(inviteMs),
    answerTime: timestamp(inviteMs + 5_000),
    connectedDurationMs: 60_000n,
    ...more,
  } as never) as CallDuration;
}

/** Where the number still stands: in tables, in a dump of them, and in what was logged. */
async function search(phoneNumber: string, national: string) {
  return {
    tables: await searchDatabase(exchange.databaseUrl, phoneNumber, national),
    dump: findNumber(await dumpDatabase(exchange.databaseUrl), national).length,
    log: findNumber(lines.join("\n"), national),
  };
}

test("Erasure: no table, no dump and no line of the log has the number, in whatever format it came; only what the receipt lists", async () => {
  const person = "+4587654321";
  const formats = [
    person,
    "004587654321",
    "87654321",
    "87 65 43 21",
    "sip:+4587654321@sbc.example",
    "tel:+45-87-65-43-21",
  ];
  const records = formats.map((format, index) =>
    call(
      `c-${index}`,
      {
        parties: { calling: e164(OWN), called: index === 0 ? e164(person) : written(format) },
        outcome: { finalSipCode: 200, reasonPhrase: `to <${format}>` },
        correlation: { interconnectDialog: { callId: `${format.replaceAll(" ", "")}-${index}@sbc.example` } },
      } as never,
      START_MS + index * 60_000,
    ),
  );
  await ingest(exchange, "alpha", records);
  const durations = await exchange.carrierClient(DurationService, "alpha");
  await durations.appendDurations({
    uploadId: "u-1",
    records: [
      ...formats.map((format, index) =>
        carrierCall(`d-${index}`, written(format), index, { connectedDurationMs: 90_000n, customerReference: format }),
      ),
      carrierCall("d-quarantined", written("tel:+45-87-65-43-21"), 20, { calling: e164("+4511111111") }),
      carrierCall("d-refused", written("sip:+4587654321@sbc.example"), 21, { direction: 0 }),
    ],
  });
  await ingest(exchange, "alpha", [
    call("c-held", { parties: { calling: e164(OWN), called: e164(person) } }, START_MS + 40 * 60_000),
  ]);
  await untilReconciled(exchange, "alpha", formats.length + 1);
  const privacy = await exchange.platformClient(PrivacyService);
  const record = { recordId: "c-held", recordDate: new Date(START_MS + 40 * 60_000).toISOString().slice(0, 10) };
  const { hold } = await privacy.createHold({
    requestId: newRequestId(),
    hold: {
      carrierId: "alpha",
      target: { case: "records", value: { records: [{ side: PLATFORM_SIDE, record }] } },
      reason: 1,
      caseReference: "dispute-1",
      owner: "billing desk",
      endTime: timestampFromMs(Date.now() + 72 * HOUR_MS),
    },
  });
  // What is said of it in errors, too.
  const cdrs = await exchange.carrierClient(CdrService, "alpha");
  expect(await reasonOf(cdrs.listCdrs({ filter: { phoneNumber: `${person}x` } } as never))).toBe("INVALID_ARGUMENT");
  const before = await search(person, "87654321");
  expect(before.dump).toBeGreaterThan(10);

  const erasure = await erase(exchange, person);
  expect(erasure.receipt?.exceptions.map(({ reason, recordCount }) => [reason, recordCount])).toEqual([
    [ErasureExceptionReason.HELD, 1n],
  ]);
  const left = await runSql<{ record_id: string }>(
    exchange,
    sql`SELECT record_id FROM cdr_record WHERE encode(payload, 'escape') ~ '87654321'`,
  );
  expect(left).toEqual([{ record_id: "c-held" }]);
  const held = await search(person, "87654321");
  expect(held.tables.every((place) => /^(cdr_record|call_result|discrepancy_entry)/.test(place))).toBe(true);
  expect(held.log).toEqual([]);

  await privacy.releaseHold({ requestId: newRequestId(), holdId: hold?.holdId ?? "", releaseNote: "settled" });
  await erase(exchange, person);
  expect(await search(person, "87654321")).toEqual({ tables: [], dump: 0, log: [] });
  expect(lines.length).toBeGreaterThan(0);
});

/** Of +44 1632 960105, with its country where the text alone does not tell. */
const SPELLINGS: readonly { value: string; countryCode?: string }[] = [
  { value: "+44 (0)1632 960105" },
  { value: "+44(0)1632960105" },
  { value: "01632 960105", countryCode: "GB" },
  { value: "(01632) 960-105", countryCode: "GB" },
  { value: "00 44 1632 960105" },
  { value: "011441632960105" },
  { value: "441632960105" },
  { value: "sip:01632960105@sbc.example;user=phone", countryCode: "GB" },
  { value: "sip:+441632960105@192.0.2.17:5060" },
  { value: "tel:01632-960105;phone-context=+44" },
  { value: "+44\u00a01632\u00a0960\u00a0105" },
  { value: "+44 1632\u2013960105" },
  { value: "+４４１６３２９６０１０５" },
  { value: '"A" <sip:+441632960105@sbc.example>' },
];

test("Erasure: no spelling of a number is left in parties, free texts, rejects, quarantine, held copies, discrepancies or logs", async () => {
  const person = "+441632960105";
  await exchange.addCarrier("cell", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("cell", ["+4532123499"]);
  const own = e164("+4532123499");
  const party = (spelled: (typeof SPELLINGS)[number]) => ({ kind: PartyKind.NON_E164, ...spelled });
  await ingest(
    exchange,
    "cell",
    SPELLINGS.map((spelled, index) =>
      call(
        `s-${index}`,
        {
          parties: { calling: own, called: index % 2 === 0 ? e164(person) : party(spelled) },
          outcome: { finalSipCode: 200, reasonPhrase: `to <${spelled.value}>`, closeReason: spelled.value },
        } as never,
        START_MS + index * 60_000,
      ),
    ),
  );
  const client = await exchange.carrierClient(DurationService, "cell");
  const records = SPELLINGS.flatMap((spelled, index) => {
    const more = { calling: own, connectedDurationMs: 90_000n, customerReference: spelled.value };
    return [
      carrierCall(`s-${index}`, party(spelled), index, more),
      carrierCall(`q-${index}`, party(spelled), index, { ...more, calling: e164("+4511111111") }),
      carrierCall(`x-${index}`, party(spelled), index, { ...more, direction: 0 }),
    ];
  });
  const { counts } = await client.appendDurations({ uploadId: "u-2", records });
  expect([counts?.accepted, counts?.quarantined, counts?.rejected].map(Number)).toEqual([14, 14, 14]);
  await untilReconciled(exchange, "cell", SPELLINGS.length);
  await runSql(
    exchange,
    sql`INSERT INTO held_record (carrier_id, side, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time,
        direction, phone_number, customer_id, quality_verdict, payload)
      SELECT carrier_id, 2, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction, phone_number,
        customer_id, 0, payload FROM duration_record WHERE carrier_id = 'cell'`,
  );
  const statuses = await runSql(exchange, sql`SELECT DISTINCT status FROM call_result WHERE carrier_id = 'cell'`);
  expect(statuses).toEqual([{ status: 4 }]);
  const before = await search(person, "1632960105");
  expect(before.tables).toEqual(
    expect.arrayContaining(["call_result.payload", "held_record.payload", "quarantine.payload"]),
  );

  const erasure = await erase(exchange, person);
  expect([erasure.state, erasure.receipt?.exceptions]).toEqual([ErasureState.COMPLETED, []]);
  expect(await search(person, "1632960105")).toEqual({ tables: [], dump: 0, log: [] });
  // Masked before, and the digits before those too.
  expect(await search("+441632960", "1632960")).toEqual({ tables: [], dump: 0, log: [] });
});

test("Erasure: the end of an erasure is in the audit log, by whoever asked for it and without the number", async () => {
  const person = "+4587650011";
  const { erasureId, requestedBy } = await erase(exchange, person, { requestId: "audited" });
  const privacy = await exchange.platformClient(PrivacyService);
  const { events } = await privacy.listAuditEvents({ pageSize: 1_000 });
  const told = events.filter(({ resource }) => resource === `erasure/${erasureId}`);
  expect(told.map(({ method, actor, requestId, changedFields }) => [method, actor, requestId, changedFields])).toEqual([
    ["tandem.platform.v1.PrivacyService/ErasePhoneNumber", requestedBy, "audited", []],
    ["tandem.platform.v1.PrivacyService/ErasePhoneNumber", requestedBy, "audited", ["state", "receipt"]],
  ]);
  expect(told[1]?.detailsJson).toBe('{"exceptions":0,"state":"COMPLETED"}');
});

test("Erasure: a number that was ported goes at both carriers: holdings, the port, answers that are kept, and its hash in disclosures", async () => {
  const number = "+4532128888";
  const platform = await exchange.platformClient(PlatformNumberService);
  const privacy = await exchange.platformClient(PrivacyService);
  const [alpha, bell] = [
    await exchange.carrierClient(NumberService, "alpha"),
    await exchange.carrierClient(NumberService, "bell"),
  ];
  await alpha.provisionNumbers({ requestId: "p-1", items: [provisionItem(number, { countryCode: "DK" })] });
  const ported = { carrierId: "alpha", toCarrierId: "bell", phoneNumbers: [number], effectiveTime: fromNow(0) };
  await platform.portNumbers({ requestId: "p-2", ...ported });
  const count = async (table: string) =>
    Number(
      (
        await runSql<{ count: bigint }>(
          exchange,
          sql`SELECT count(*) AS count FROM ${sql.table(table)} WHERE phone_number = ${number}`,
        )
      )[0]?.count,
    );
  await expect
    .poll(() => runSql(exchange, sql`SELECT stage FROM number_port WHERE phone_number = ${number}`))
    .toEqual([{ stage: 3 }, { stage: 3 }]);
  await bell.provisionNumbers({ requestId: "p-3", items: [provisionItem(number, { countryCode: "DK" })] });
  const exported = {
    phoneNumber: number,
    startTime: timestampFromMs(START_MS),
    endTime: timestampFromMs(Date.now()),
    role: SubjectRole.SUBSCRIBER,
    caseReference: "case 2",
    verifiedBy: "desk",
  };
  await Array.fromAsync(privacy.exportPhoneNumber(exported));
  await bell.releaseNumbers({ requestId: "p-4", phoneNumbers: [number] });
  const hash = numberHash(exchange.services.installation.secret, number);
  const disclosed = () =>
    runSql<{ filter_json: string }>(
      exchange,
      sql`SELECT filter_json FROM disclosure WHERE position(${hash} IN filter_json) > 0`,
    );
  const holdings = await count("number_holding");
  expect([await count("number_port"), holdings >= 2, (await disclosed()).length > 0]).toEqual([2, true, true]);
  const answers = () => runSql(exchange, sql`SELECT 1 FROM request_log WHERE encode(response, 'escape') ~ '32128888'`);
  expect((await answers()).length).toBeGreaterThan(0);

  const erasure = await erase(exchange, number, { endMs: Date.now(), role: SubjectRole.SUBSCRIBER });
  expect([erasure.state, erasure.receipt?.exceptions]).toEqual([ErasureState.COMPLETED, []]);
  expect([await count("number_port"), await count("number_holding")]).toEqual([0, 0]);
  expect([await disclosed(), await answers()]).toEqual([[], []]);
  expect(await search(number, "32128888")).toEqual({ tables: [], dump: 0, log: [] });
  const carriers = erasure.receipt?.notices.filter(({ feed }) => feed === "numbers").map(({ carrierId }) => carrierId);
  expect(carriers).toEqual(["alpha", "bell"]);
});
