import type { DescMessage } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { numberHash } from "../../src/domain/numbers/number-hash.ts";
import { recordKey, usageName } from "../../src/domain/privacy/disclosure.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { addDays } from "../../src/domain/time/instant.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { ReconciliationService as PlatformReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageDimension } from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { disclosureRuleOf } from "../../src/rpc/shared/method-rules.ts";
import { carrierTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { disclosuresOfPeriod, disclosuresOfRecords } from "../../src/store/privacy/disclosure-lists.ts";
import { closeLeftBlocks, dateOpenBlocks } from "../../src/store/privacy/open-disclosures.ts";
import { insertCallResults } from "../support/call-results.ts";
import { runCli } from "../support/cli.ts";
import { listMethods, methodName } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  call,
  EARLIEST,
  framesOf,
  HEAD,
  ingest,
  LATEST,
  NUMBER,
  readFeed,
  refusal,
  runSql,
  until,
} from "../support/feed.ts";
import { findFreePort, ServerProcess } from "../support/server-process.ts";
import { type CarrierNames, DATES, furnishCarrier, PERIOD } from "../support/two-carriers.ts";

const DAY_MS = 86_400_000;
const today = new Date().toISOString().slice(0, 10);
const RECORDS = new Set(
  ["CallDetailRecord", "CallDuration", "Discrepancy", "PhoneNumber"].map((name) => `tandem.type.v1.${name}`),
);
/** Their answers have rows of what they changed, which their caller sent. */
const WRITES = /^(Provision|Release|Assign|Unassign|Port)Numbers$/;

let exchange: Exchange;
let carrierCount = 0;

beforeAll(async () => {
  exchange = await startExchange({ partitions: "weekly" });
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const db = () => exchange.services.db;
const privacy = () => exchange.platformClient(PrivacyService);
const cdrs = (carrierId: string) => exchange.carrierClient(CdrService, carrierId);

async function newCarrier(recordIds: readonly string[] = []): Promise<string> {
  const carrierId = `carrier-${++carrierCount}`;
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, [NUMBER], "cedar-bank");
  if (recordIds.length > 0)
    await ingest(
      exchange,
      carrierId,
      recordIds.map((id) => call(id)),
    );
  return carrierId;
}

interface Row {
  method: string;
  kind: number;
  filter_json: string;
  session_id: string | null;
  side: number | null;
  record_ids: string[] | null;
  after_sequence: bigint | null;
  through_sequence: bigint | null;
  reserved_through: bigint | null;
  record_count: number;
  record_parts: number[];
  masked: boolean;
  credential_id: string;
}

function rowsOf(carrierId: string): Promise<Row[]> {
  return runSql(
    exchange,
    sql<Row>`SELECT * FROM disclosure WHERE carrier_id = ${carrierId} ORDER BY commit_time, side`,
  );
}

const ofPeriod = (carrierId: string, startDate = addDays(today, -2), endDate = addDays(today, 2)) => ({
  carrierId,
  subject: { case: "period" as const, value: { startDate, endDate } },
});

function ofRecord(
  carrierId: string,
  recordId: string,
  more: { side?: number; revision?: number; recordDate?: string } = {},
) {
  const { side = PLATFORM_SIDE, recordDate = call("any").recordDate, ...revision } = more;
  return {
    carrierId,
    subject: { case: "record" as const, value: { side, record: { recordId, recordDate, ...revision } } },
  };
}

describe("Accountability: what counts as a disclosure", () => {
  test("every method of the contract has a declared rule, and every one whose answer can hold a record discloses", async () => {
    const methods = [...(await listMethods("carrier")), ...(await listMethods("platform"))];
    expect(methods.length).toBeGreaterThan(50);
    for (const method of methods) {
      const rule = disclosureRuleOf(method);
      expect(rule, methodName(method)).toBeDefined();
      if (holdsRecord(method.output, new Set()) && !WRITES.test(method.name))
        expect(rule?.discloses, methodName(method)).toBe(true);
      if (rule?.discloses)
        expect((rule.kind === 1) === (method.methodKind === "server_streaming" && rule.kind !== 4)).toBe(true);
    }
  });

  function holdsRecord(message: DescMessage, seen: Set<string>): boolean {
    if (RECORDS.has(message.typeName)) return true;
    if (seen.has(message.typeName)) return false;
    seen.add(message.typeName);
    return message.fields.some((field) => field.message && holdsRecord(field.message, seen));
  }
});

describe("Accountability: a row is committed before the first byte", () => {
  test("while it cannot be committed nothing arrives, in a stream or an answer; and then everything does", async () => {
    const carrierId = await newCarrier(["held-0", "held-1"]);
    const client = await cdrs(carrierId);
    const locked = await db().pool.connect();
    try {
      // Conflicts with what an INSERT takes, and with nothing else.
      await locked.query("BEGIN; LOCK TABLE disclosure IN SHARE MODE");
      using feed = readFeed(client, { start: EARLIEST });
      let answered = false;
      const answer = client.getCdr({ name: { case: "recordId", value: "held-0" } }).then((found) => {
        answered = true;
        return found;
      });
      await until(waitingInserts, 2);
      expect(framesOf(feed.messages)).toEqual(["opened"]);
      expect(answered).toBe(false);
      expect(await rowsOf(carrierId)).toEqual([]);
      await locked.query("COMMIT");
      await feed.until((messages) => framesOf(messages).includes("batch"));
      expect((await answer).records).toHaveLength(1);
    } finally {
      locked.release(true);
    }
  });

  async function waitingInserts(): Promise<number> {
    const [row] = await runSql(
      exchange,
      sql<{
        waiting: bigint;
      }>`SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted AND relation = 'disclosure'::regclass`,
    );
    return Number(row?.waiting ?? 0n);
  }

  test("when it fails nothing is sent, and the reason is STORE_UNAVAILABLE", async () => {
    const carrierId = await newCarrier(["refused-0"]);
    const client = await cdrs(carrierId);
    const usage = await exchange.platformClient(UsageService);
    await insertCallResults(db(), carrierId, [{ phone_number: NUMBER, customer_id: "cedar-bank" }]);
    await runSql(exchange, sql`REVOKE INSERT ON disclosure FROM tandem_carrier`);
    try {
      using feed = readFeed(client, { start: EARLIEST });
      const failed = { code: Code.Unavailable, reason: "STORE_UNAVAILABLE" };
      expect(await refusal(feed.ended)).toMatchObject(failed);
      expect(framesOf(feed.messages)).toEqual(["opened"]);
      const name = { case: "recordId" as const, value: "refused-0" };
      expect(await refusal(client.getCdr({ name }))).toMatchObject(failed);
      expect(await refusal(Array.fromAsync(usage.exportUsage(usageRequest())))).toMatchObject(failed);
    } finally {
      await runSql(exchange, sql`GRANT INSERT ON disclosure TO tandem_carrier`);
    }
  });

  test("a stream claims a block with its first entry and closes it at what was sent; one that is idle claims nothing", async () => {
    const carrierId = await newCarrier(["sent-0", "sent-1", "sent-2"]);
    const client = await cdrs(carrierId);
    using idle = readFeed(client, { start: LATEST });
    await idle.until((messages) => framesOf(messages).includes("caughtUp"));
    {
      using live = readFeed(client, { start: EARLIEST, filter: { phoneNumbers: [NUMBER] } });
      await live.until((messages) => framesOf(messages).includes("batch"));
      expect(await rowsOf(carrierId)).toMatchObject([
        { after_sequence: 0n, reserved_through: 10_000n, through_sequence: null },
      ]);
    }
    await until(async () => (await rowsOf(carrierId))[0]?.through_sequence, 3n);
    const [{ opened, batch }, [row], { disclosures }] = [
      await readSession(client),
      await rowsOf(carrierId),
      await (await privacy()).listDisclosures(ofPeriod(carrierId)),
    ];
    const hash = numberHash(exchange.services.installation.secret, NUMBER);
    expect(row).toMatchObject({ filter_json: `{"filter":{"phone_numbers":["${hash}"]}}`, record_count: 3 });
    expect(batch).toBe(3);
    expect(disclosures).toMatchObject([
      { sessionId: opened, afterSequence: 0n, throughSequence: 3n, feedEpoch: 1n, recordCount: 3, filterJson: "{}" },
      { sessionId: row?.session_id, throughSequence: 3n },
    ]);
    expect(disclosures[0]).toMatchObject({
      carrierId,
      recipientKind: 1,
      credentialId: `jwt:tandem:${carrierId}`,
      method: "tandem.carrier.v1.CdrService/StreamCdrs",
      kind: 1,
      recordParts: [1, 2],
      masked: false,
      records: [],
      firstRecordDate: call("any").recordDate,
      lastRecordDate: call("any").recordDate,
      purpose: 3,
      legalBasis: 1,
      privacyStatementVersion: "1",
      commitTime: expect.anything(),
    });
  });

  async function readSession(client: Awaited<ReturnType<typeof cdrs>>) {
    using feed = readFeed(client, { start: EARLIEST, end: HEAD });
    await feed.ended;
    const [first, second] = feed.messages;
    return {
      opened: first?.frame.case === "opened" ? first.frame.value.sessionId : "",
      batch: second?.frame.case === "batch" ? second.frame.value.entries.length : 0,
    };
  }

  test("SIGKILL mid stream leaves the claim, which answers conservatively, is closed later, and outlives the records", async () => {
    const carrierId = await newCarrier(["killed-0", "killed-1"]);
    await using server = new ServerProcess(await findFreePort(), {
      TANDEM_DATABASE_URL: exchange.databaseUrl,
      TANDEM_DATA_DIR: exchange.dataDir,
      TANDEM_LOG_LEVEL: "error",
      TANDEM_ISSUE_TOKENS: "on",
    });
    await server.start();
    const transport = await exchange.carrierTransport(carrierId, { baseUrl: `http://127.0.0.1:${server.port}` });
    const { createClient } = await import("@connectrpc/connect");
    using feed = readFeed(createClient(CdrService, transport), { start: EARLIEST });
    await feed.until((messages) => framesOf(messages).includes("batch"));
    await server.kill();
    expect(await rowsOf(carrierId)).toMatchObject([{ through_sequence: null, reserved_through: 10_000n }]);
    // Came after the crash, but nobody can know that yet.
    const later = call("killed-2", {}, Date.now() - 30 * DAY_MS);
    await ingest(exchange, carrierId, [later]);
    const client = await privacy();
    const open = { throughSequence: 3n, recordCount: 3, firstRecordDate: later.recordDate };
    expect((await client.listDisclosures(ofRecord(carrierId, "killed-1"))).disclosures).toMatchObject([open]);
    expect(
      (await client.listDisclosures(ofPeriod(carrierId, later.recordDate, addDays(later.recordDate, 1)))).disclosures,
    ).toHaveLength(1);

    expect(await systemTransaction(db(), (tx) => closeLeftBlocks(tx, carrierId, 10))).toBe(0);
    await systemTransaction(db(), (tx) => dateOpenBlocks(tx, carrierId));
    await runSql(
      exchange,
      sql`UPDATE disclosure SET commit_time = commit_time - interval '3 hours' WHERE carrier_id = ${carrierId}`,
    );
    await runSql(
      exchange,
      sql`UPDATE cdr_record SET ingest_time = ingest_time - interval '3 hours' WHERE carrier_id = ${carrierId} AND sequence <= 2`,
    );
    await runSql(
      exchange,
      sql`UPDATE cdr_key SET ingest_time = ingest_time - interval '3 hours' WHERE carrier_id = ${carrierId} AND sequence <= 2`,
    );
    expect(await systemTransaction(db(), (tx) => closeLeftBlocks(tx, carrierId, 10))).toBe(1);
    expect(await rowsOf(carrierId)).toMatchObject([{ through_sequence: 2n, record_count: 2 }]);
    expect(
      (await client.listDisclosures(ofRecord(carrierId, "killed-2", { recordDate: later.recordDate }))).disclosures,
    ).toEqual([]);

    // Held, it is asked for by its name even when its key is gone.
    await runSql(
      exchange,
      sql`INSERT INTO held_record (carrier_id, side, sequence, ingest_time, record_id, record_date, revision, entry_kind, direction, quality_verdict, payload)
        SELECT carrier_id, 1, sequence, ingest_time, record_id, record_date, revision, entry_kind, direction, quality_verdict, payload
        FROM cdr_record WHERE carrier_id = ${carrierId} AND record_id = 'killed-0'`,
    );
    for (const table of ["cdr_record", "cdr_key"])
      await runSql(exchange, sql`DELETE FROM ${sql.table(table)} WHERE carrier_id = ${carrierId}`);
    expect((await client.listDisclosures(ofPeriod(carrierId))).disclosures).toMatchObject([{ throughSequence: 2n }]);
    expect((await client.listDisclosures(ofRecord(carrierId, "killed-0"))).disclosures).toHaveLength(1);
    expect(await refusal(client.listDisclosures(ofRecord(carrierId, "killed-1")))).toMatchObject({
      reason: "RECORD_NOT_FOUND",
    });
  });
});

function usageRequest() {
  const [startDate, endDate] = [addDays(today, -3), addDays(today, 2)];
  return {
    customerId: "cedar-bank",
    startDate,
    endDate,
    timeZone: "Europe/Copenhagen",
    groupBy: [UsageDimension.NUMBER],
  };
}

describe("Accountability: every get, list and export names what it delivers", () => {
  let names: CarrierNames;
  beforeAll(async () => {
    names = await furnishCarrier(exchange, "acme", 1);
  });

  async function newRows(read: () => Promise<unknown>): Promise<Row[]> {
    const before = (await rowsOf("acme")).length;
    await read();
    return (await rowsOf("acme")).slice(before);
  }

  test("a carrier's reads, and nothing for an empty answer", async () => {
    const [cdr, duration] = [await cdrs("acme"), await exchange.carrierClient(DurationService, "acme")];
    const number = await exchange.carrierClient(NumberService, "acme");
    const reconciliation = await exchange.carrierClient(ReconciliationService, "acme");
    const records = [0, 1, 2].map((index) => `acme-record-${index}`);
    const cases: [() => Promise<unknown>, (Partial<Row> & object)[]][] = [
      [
        () => cdr.getCdr({ name: { case: "recordId", value: names.recordId } }),
        [{ kind: 2, side: PLATFORM_SIDE, record_ids: [names.recordId], record_parts: [1, 2] }],
      ],
      [() => cdr.listCdrs(PERIOD), [{ kind: 3, side: PLATFORM_SIDE, record_ids: records, record_count: 3 }]],
      [() => cdr.listCdrs({ ...PERIOD, filter: { trunkId: "none" } }), []],
      [
        () => duration.listDurations({ ...PERIOD, pageSize: 1 }),
        [{ kind: 3, side: CARRIER_SIDE, record_parts: [4], record_count: 1 }],
      ],
      [
        () => duration.listDurations({ ...PERIOD, state: 2 }),
        [{ side: CARRIER_SIDE, record_ids: [names.quarantinedId] }],
      ],
      [
        () => duration.listRejects({ uploadId: names.uploadId, pageSize: 1 }),
        [{ side: CARRIER_SIDE, masked: true, record_ids: ["acme-broken-1"] }],
      ],
      [
        () => number.getNumber({ phoneNumber: names.number }),
        [{ kind: 2, side: 0, record_parts: [5], record_count: 1 }],
      ],
      [() => number.listNumbers({}), [{ kind: 3, side: 0, record_count: 2 }]],
      [
        () => reconciliation.listDiscrepancies(DATES),
        [
          { kind: 3, side: PLATFORM_SIDE, record_parts: [1] },
          { kind: 3, side: CARRIER_SIDE, record_parts: [4] },
        ],
      ],
      [
        () => Array.fromAsync(number.watchNumbers({ initialState: true, end: HEAD })),
        [{ kind: 3, side: 0, record_count: 2, session_id: expect.any(String) }],
      ],
      [
        () => Array.fromAsync(reconciliation.watchDiscrepancies({ start: EARLIEST, end: HEAD })),
        [{ kind: 1, after_sequence: 0n, through_sequence: 3n }],
      ],
      [() => cdr.getCdrFeed({}), []],
      [() => duration.listUploads({}), []],
    ];
    for (const [read, expected] of cases) {
      const rows = await newRows(read);
      expect(rows, String(read)).toMatchObject(expected);
      expect(rows).toHaveLength(expected.length);
      for (const row of rows) {
        expect(row.credential_id).toBe("jwt:tandem:acme");
        expect(row.filter_json).not.toContain(names.number.slice(1));
      }
    }
    const [row] = await newRows(() => number.getNumber({ phoneNumber: names.number }));
    expect(row?.filter_json).toBe(
      `{"phone_number":"${numberHash(exchange.services.installation.secret, names.number)}"}`,
    );
  });

  test("the platform's reads, and its exports by their own ids", async () => {
    const cdr = await exchange.platformClient(PlatformCdrService);
    const number = await exchange.platformClient(PlatformNumberService);
    const reconciliation = await exchange.platformClient(PlatformReconciliationService);
    const usage = await exchange.platformClient(UsageService);
    const ofCustomer = { ...usageRequest(), customerId: names.customerId };
    const usageIds = Array.from({ length: 5 }, () => usageName(names.customerId));
    const cases: [() => Promise<unknown>, (Partial<Row> & object)[]][] = [
      [
        () => cdr.getCdr({ name: { case: "callId", value: names.callId } }),
        [{ kind: 2, side: PLATFORM_SIDE, record_ids: [names.recordId] }],
      ],
      [
        () => cdr.listCdrs({ carrierId: "acme", ...PERIOD, phoneNumber: names.callNumber }),
        [{ kind: 3, side: PLATFORM_SIDE, record_count: 3 }],
      ],
      [() => number.getNumber({ phoneNumber: names.number }), [{ kind: 2, side: 0 }]],
      [() => number.listNumbers({ carrierId: "acme" }), [{ kind: 3, side: 0, record_count: 2 }]],
      [() => number.listNumberHistory({ phoneNumber: names.number }), [{ kind: 3, side: 0 }]],
      [
        () => reconciliation.listDiscrepancies({ carrierId: "acme", ...DATES }),
        [
          { kind: 3, side: PLATFORM_SIDE },
          { kind: 3, side: CARRIER_SIDE },
        ],
      ],
      [
        () =>
          reconciliation.explainCall({
            carrierId: "acme",
            target: { case: "platformRecordId", value: names.recordId },
          }),
        [{ kind: 2, side: PLATFORM_SIDE }],
      ],
      [() => usage.queryUsage(ofCustomer), [{ kind: 3, record_ids: usageIds }]],
      [() => usage.queryUsage({ ...ofCustomer, groupBy: [UsageDimension.DAY] }), []],
      [
        () => usage.queryUsage({ ...ofCustomer, groupBy: [UsageDimension.DAY], phoneNumbers: [names.callNumber] }),
        [{ kind: 3 }],
      ],
    ];
    for (const [read, expected] of cases) {
      const rows = await newRows(read);
      expect(rows.slice(0, expected.length), String(read)).toMatchObject(expected);
      if (expected.length === 0) expect(rows, String(read)).toEqual([]);
      for (const row of rows) expect(row.filter_json).not.toContain(names.number.slice(1, 11));
    }
    let exportId = "";
    const rows = await newRows(async () => {
      for await (const { frame } of usage.exportUsage(ofCustomer))
        if (frame.case === "header") exportId = frame.value.exportId;
    });
    expect(rows).toMatchObject([{ kind: 4, session_id: exportId, record_ids: usageIds }]);
  });
});

describe("Accountability: who may have received what", () => {
  test("by record: blocks that cover its revisions, rows that name it, and figures of its customer's day; by recipient and time; in pages", async () => {
    const carrierId = await newCarrier(["asked-0", "asked-1"]);
    const [carrier, platform, client] = [
      await cdrs(carrierId),
      await exchange.platformClient(PlatformCdrService),
      await privacy(),
    ];
    await Array.fromAsync(carrier.streamCdrs({ start: EARLIEST, end: HEAD }));
    await carrier.getCdr({ name: { case: "recordId", value: "asked-0" } });
    await platform.getCdr({ name: { case: "recordId", value: "asked-1" } });
    await platform.listCdrs({ carrierId, ...PERIOD });
    await insertCallResults(db(), carrierId, [{ phone_number: NUMBER, customer_id: "cedar-bank" }]);
    const usage = await exchange.platformClient(UsageService);
    await usage.queryUsage(usageRequest());
    await ingest(exchange, carrierId, [call("asked-0", { revision: 2, route: { trunkId: "other" } })]);
    await carrier.getCdr({ name: { case: "recordId", value: "asked-0" } });

    const methods = async (request: object) => {
      const { disclosures } = await client.listDisclosures(request);
      return disclosures.map(({ method }) => method.slice(method.indexOf("v1.") + 3));
    };
    const [GET, LIST, USAGE, STREAM] = [
      "CdrService/GetCdr",
      "CdrService/ListCdrs",
      "UsageService/QueryUsage",
      "CdrService/StreamCdrs",
    ];
    expect(await methods(ofRecord(carrierId, "asked-0"))).toEqual([GET, USAGE, LIST, GET, STREAM]);
    expect(await methods(ofRecord(carrierId, "asked-0", { revision: 1 }))).toEqual([USAGE, LIST, GET, STREAM]);
    expect(await methods(ofRecord(carrierId, "asked-0", { revision: 2 }))).toEqual([GET, USAGE]);
    expect(await methods(ofRecord(carrierId, "asked-1"))).toEqual([USAGE, LIST, GET, STREAM]);
    expect(await methods({ ...ofRecord(carrierId, "asked-1"), recipientKind: 2 })).toEqual([USAGE, LIST, GET]);
    const start = { seconds: BigInt(Math.floor(Date.now() / 1_000) + 60) };
    expect(await methods({ ...ofRecord(carrierId, "asked-1"), startTime: start })).toEqual([]);
    expect(await methods({ ...ofRecord(carrierId, "asked-1"), endTime: start })).toHaveLength(4);

    const first = await client.listDisclosures({ ...ofRecord(carrierId, "asked-1"), pageSize: 3 });
    const second = await client.listDisclosures({
      ...ofRecord(carrierId, "asked-1"),
      pageSize: 3,
      pageToken: first.nextPageToken,
    });
    expect([...first.disclosures, ...second.disclosures].map(({ kind }) => kind)).toEqual([3, 3, 2, 1]);
    expect(second.nextPageToken).toBe("");
    const other = { ...ofRecord(carrierId, "asked-0"), pageToken: first.nextPageToken };
    expect(await refusal(client.listDisclosures(other))).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });

    // A number's calls at every carrier, in its role and its time only.
    const number = {
      phoneNumber: NUMBER,
      startTime: { seconds: BigInt(Math.floor(Date.now() / 1_000)) - 7_200n },
      endTime: start,
    };
    const ofNumber = (role: number, more: object = {}) => ({
      subject: { case: "number" as const, value: { ...number, role, ...more } },
    });
    expect(await methods({ carrierId, ...ofNumber(1) })).toEqual([GET, USAGE, LIST, GET, GET, STREAM]);
    expect(await methods({ carrierId, ...ofNumber(2) })).toEqual([]);
    expect(await methods({ carrierId, ...ofNumber(2, { phoneNumber: "+12025550123" }) })).toHaveLength(6);
    expect(
      await methods({ carrierId, ...ofNumber(3, { startTime: { seconds: 1n }, endTime: { seconds: 2n } }) }),
    ).toEqual([]);
    const everywhere = await client.listDisclosures({ ...ofNumber(3), pageSize: 1_000 });
    expect(new Set(everywhere.disclosures.map((each) => each.carrierId)).size).toBeGreaterThan(1);
    const times = everywhere.disclosures.map(
      ({ commitTime }) => Number(commitTime?.seconds) + (commitTime?.nanos ?? 0) / 1e9,
    );
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    expect(
      JSON.stringify(everywhere.disclosures.map(({ filterJson, credentialId }) => [filterJson, credentialId])),
    ).not.toContain(NUMBER);
  });

  test("a wrong request names its field, and what never was is not found", async () => {
    const carrierId = await newCarrier();
    const client = await privacy();
    const fields: [object, string][] = [
      [{ carrierId }, "subject"],
      [{ ...ofPeriod(carrierId), carrierId: "" }, "carrier_id"],
      [ofPeriod(carrierId, "2026-02-30"), "period.start_date"],
      [ofPeriod(carrierId, "2024-01-01", "2026-01-01"), "period.end_date"],
      [ofRecord(carrierId, ""), "record.record.record_id"],
      [ofRecord(carrierId, "x", { side: 0 }), "record.side"],
      [{ ...ofPeriod(carrierId), recipientKind: 9 }, "recipient_kind"],
      [{ ...ofPeriod(carrierId), pageSize: -1 }, "page_size"],
      [{ carrierId, subject: { case: "number", value: { phoneNumber: "4533", role: 1 } } }, "number.phone_number"],
    ];
    for (const [request, field] of fields)
      expect(await refusal(client.listDisclosures(request)), field).toMatchObject({
        reason: "INVALID_ARGUMENT",
        field,
      });
    expect(await refusal(client.listDisclosures(ofPeriod("nobody")))).toMatchObject({ reason: "CARRIER_NOT_FOUND" });
    expect(await refusal(client.listDisclosures(ofRecord(carrierId, "never")))).toMatchObject({
      reason: "RECORD_NOT_FOUND",
    });
  });

  test("the command answers for a record with one line of arguments", async () => {
    const carrierId = await newCarrier(["printed-0"]);
    await (await cdrs(carrierId)).getCdr({ name: { case: "recordId", value: "printed-0" } });
    const settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
    const args = [
      "privacy",
      "disclosures",
      "--carrier",
      carrierId,
      "--record",
      "printed-0",
      "--date",
      call("any").recordDate,
    ];
    const [table, csv] = await Promise.all([runCli(args, settings), runCli([...args, "--csv"], settings)]);
    expect(table.messages).toBe("");
    expect(table.stdout).toMatch(new RegExp(`carrier +jwt:tandem:${carrierId} +CdrService/GetCdr +get +1 `));
    expect(csv.stdout.split("\n")[1]).toContain(",printed-0");
  });
});

describe("Accountability: `tandem privacy disclosures` says what is wrong with a question", () => {
  test.each([
    [[], "say what: --record, --number or --period"],
    [["--record", "a", "--period", "today"], "say what: --record"],
    [["--carrier", "a", "--record", "a"], "--date <day>"],
    [["--record", "a", "--date", "today"], "--carrier <id>"],
    [["--period", "today"], "--carrier <id>"],
    [["--number", "-"], "--from <time>"],
    [["--carrier", "a", "--record", "a", "--date", "today", "--from", "1d"], "--from belongs with --number"],
    [["--number", "-", "--from", "1d", "--until", "today"], "--until belongs with --period"],
  ])("%j", async (args, expected) => {
    const { code, stderr } = await runCli(["privacy", "disclosures", ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(expected)]);
  });

  test("the number may come by standard input, where no list of processes shows it", async () => {
    const carrierId = await newCarrier(["piped-0"]);
    const settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
    const args = ["privacy", "disclosures", "--carrier", carrierId, "--number", "-", "--from", "7d"];
    const { code, messages } = await runCli(args, settings, NUMBER);
    expect([code, messages]).toEqual([0, ""]);
  });
});

describe("Accountability: the log itself", () => {
  test("no role may take a row away or change one that is closed, and a carrier's reads nothing of it", async () => {
    const carrierId = await newCarrier(["kept-0"]);
    await Array.fromAsync((await cdrs(carrierId)).streamCdrs({ start: EARLIEST, end: HEAD }));
    const denied = /permission denied/;
    const asCarrier = (statement: ReturnType<typeof sql>) =>
      carrierTransaction(db(), carrierId, (tx) => statement.execute(tx));
    const asSystem = (statement: ReturnType<typeof sql>) => systemTransaction(db(), (tx) => statement.execute(tx));
    for (const run of [asCarrier, asSystem]) {
      await expect(run(sql`DELETE FROM disclosure`)).rejects.toThrow(denied);
      await expect(run(sql`UPDATE disclosure SET credential_id = 'nobody'`)).rejects.toThrow(denied);
      const changed = await run(sql`UPDATE disclosure SET record_count = 0 WHERE carrier_id = ${carrierId}`);
      expect(changed.numAffectedRows).toBe(0n);
    }
    await expect(asCarrier(sql`SELECT record_count FROM disclosure`)).rejects.toThrow(denied);
    await expect(asSystem(sql`INSERT INTO disclosure (carrier_id) VALUES ('any')`)).rejects.toThrow(denied);
    expect(await rowsOf(carrierId)).toMatchObject([{ record_count: 1, through_sequence: 1n }]);
  });

  test("every question goes through an index, however long the log is", async () => {
    const carrierId = await newCarrier(["planned-0"]);
    await runSql(
      exchange,
      sql`INSERT INTO disclosure (carrier_id, disclosure_id, commit_time, recipient_kind, credential_id, method, kind, filter_json, filter_has_number,
          record_parts, masked, feed, feed_epoch, after_sequence, reserved_through, through_sequence, record_count, first_record_date,
          last_record_date, purpose, legal_basis, privacy_statement_version)
        SELECT ${carrierId}, gen_random_uuid(), now() - n * interval '5 minutes', 1, 'noise', 'noise', 1, '{}', false, '{1}', false, 2, 1,
          n * 1000, n * 1000 + 10000, n * 1000 + 10000, 10000, ${today}::date - (n / 100) - 100, ${today}::date - (n / 100) - 100, 3, 1, '1'
        FROM generate_series(1, 20000) n`,
    );
    await runSql(exchange, sql`ANALYZE disclosure`);
    const selection = { recipientKind: undefined, start: undefined, end: undefined, after: undefined, limit: 101 };
    const entry = { feed: 2 as const, sequence: 10_000_500n, ingestTime: BigInt(Date.now() - 400 * DAY_MS) * 1_000n };
    const keys = [recordKey(carrierId, PLATFORM_SIDE, "planned-0", today)];
    const ofRecords = await explain(
      disclosuresOfRecords(carrierId, { of: "records", entries: [entry], keys }, selection),
    );
    expect(ofRecords).not.toMatch(/Seq Scan on disclosure/);
    expect(ofRecords).toMatch(/disclosure_block/);
    expect(ofRecords).toMatch(/disclosure_record/);
    const day = { startDate: addDays(today, -150), endDate: addDays(today, -149) };
    const ofOneDay = await explain(disclosuresOfPeriod(carrierId, day, selection, "sorted"));
    expect(ofOneDay).not.toMatch(/Seq Scan on disclosure/);
    expect(ofOneDay).toMatch(/disclosure_dates/);
    const all = { startDate: addDays(today, -300), endDate: addDays(today, 1) };
    const walked = await explain(disclosuresOfPeriod(carrierId, all, selection, "walked"));
    expect(walked).toMatch(/Index Scan Backward using disclosure_commit_time/);
    const { disclosures } = await (await privacy()).listDisclosures(ofPeriod(carrierId, day.startDate, day.endDate));
    expect(disclosures).toHaveLength(100);
    expect(disclosures.every(({ firstRecordDate }) => firstRecordDate === day.startDate)).toBe(true);
  });

  async function explain(query: ReturnType<typeof disclosuresOfRecords>): Promise<string> {
    const rows = await runSql(exchange, sql<Record<string, string>>`EXPLAIN ${query}`);
    return rows.map((row) => row["QUERY PLAN"]).join("\n");
  }
});
