import { create } from "@bufbuild/protobuf";
import pg from "pg";
import { inject } from "vitest";
import { NumberService as CarrierNumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { type Exchange, startExchange } from "./exchange.ts";
import { call, timestamp } from "./feed.ts";
import { newRequestId, provisionItem } from "./numbers.ts";
import { appendDurations, reconcileFully } from "./reconcile.ts";
import { fullCdr, fullDuration } from "./record-samples.ts";

/** How many calls each carrier has. */
export const CALLS = 450;
/** Of which carriers the partitions are full before another one comes. */
const NEIGHBOURS = 3;
const NUMBERS = 120;
const MINUTE_MS = 60_000;
const NOW_MS = Date.now();

/** A carrier of the world. */
export interface WorldCarrier {
  readonly carrierId: string;
  readonly numbers: readonly string[];
  readonly customers: readonly string[];
  readonly cdrs: readonly CallDetailRecord[];
  readonly durations: readonly CallDuration[];
}

/** A Tandem whose statistics change only when a test says so. */
export async function startStatisticsWorld(): Promise<Exchange> {
  const exchange = await startExchange({ partitions: "weekly", databasePool: 20, retentionIntervalMs: 0 });
  await asOwner(exchange, async (client) => {
    const { rows } = await client.query<{ statement: string }>(
      `SELECT format('ALTER TABLE %s SET (autovacuum_enabled = false)', oid::regclass) AS statement
       FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`,
    );
    for (const { statement } of rows) await client.query(statement);
  });
  return exchange;
}

/** A carrier that is not there yet; `index` is one digit. */
export function worldCarrier(carrierId: string, index: number): WorldCarrier {
  const numbers = Array.from({ length: NUMBERS }, (_, at) => `+453${index}${String(at).padStart(6, "0")}`);
  const numberAt = (at: number) => numbers[(at * 7) % (NUMBERS - 20)] as string;
  const startAt = (at: number) => NOW_MS - 3 * MINUTE_MS * (CALLS - at) - 120 * MINUTE_MS;
  return {
    carrierId,
    numbers,
    customers: [`${carrierId}-bank`, `${carrierId}-shop`],
    cdrs: Array.from({ length: CALLS }, (_, at) => cdrAt(carrierId, at, numberAt(at), startAt(at))),
    // Some are missing, and some are longer than the platform's.
    durations: Array.from({ length: CALLS }, (_, at) => durationAt(at, numberAt(at), startAt(at))).filter(
      (_, at) => at % 9 !== 0,
    ),
  };
}

function cdrAt(carrierId: string, at: number, number: string, startMs: number): CallDetailRecord {
  const { correlation, streamQualities, networkIdentifiers, route, outcome } = fullCdr();
  return call(
    `r-${at}`,
    {
      callId: `${carrierId}-call-${at}`,
      // One call shares no id with others.
      correlation:
        at === 1
          ? undefined
          : {
              ...correlation,
              correlationId: `${carrierId}-c-${at}`,
              interconnectDialog: { ...correlation?.interconnectDialog, callId: `${carrierId}-d-${at}` },
            },
      streamQualities,
      networkIdentifiers,
      route: { ...route, trunkId: `trunk-${at % 3}` },
      outcome: { ...outcome, finalSipCode: 200, failureStage: 0 },
      parties: {
        calling: { kind: 1, value: number },
        called: { kind: 1, value: `+4599${String(at % 50).padStart(6, "0")}` },
      },
    } as Parameters<typeof call>[1],
    startMs,
  );
}

function durationAt(at: number, number: string, startMs: number): CallDuration {
  const { $typeName: _, ...full } = fullDuration();
  const connectedMs = at % 5 === 0 ? 90_000 : 60_000;
  return create(CallDurationSchema, {
    ...full,
    correlation: undefined,
    platformRecordId: undefined,
    recordId: `d-${at}`,
    recordDate: new Date(startMs).toISOString().slice(0, 10),
    revision: 1,
    calling: { kind: 1, value: number },
    asserted: undefined,
    called: { kind: 1, value: `+4599${String(at % 50).padStart(6, "0")}` },
    dialed: undefined,
    redirecting: undefined,
    inviteTime: timestamp(startMs),
    answerTime: timestamp(startMs + 5_000),
    endTime: timestamp(startMs + 5_000 + connectedMs),
    connectedDurationMs: BigInt(connectedMs),
    billedDurationS: 120n,
    utcOffsetMinutes: 0,
    trunkId: `trunk-${at % 3}`,
    part: undefined,
  } as Parameters<typeof create<typeof CallDurationSchema>>[1]);
}

/** Onboards a carrier with its numbers. */
export async function addNumbers(exchange: Exchange, { carrierId, numbers, customers }: WorldCarrier): Promise<void> {
  await exchange.addCarrier(carrierId, { networkIdentifiersAllowed: true });
  await exchange.assignNumbers(carrierId, numbers.slice(0, NUMBERS - 20), customers[0]);
  const own = await exchange.carrierClient(CarrierNumberService, carrierId);
  const platform = await exchange.platformClient(PlatformNumberService);
  const later = numbers.slice(NUMBERS - 20);
  await own.provisionNumbers({ requestId: newRequestId(), items: later.map((number) => provisionItem(number)) });
  await platform.assignNumbers({
    requestId: newRequestId(),
    carrierId,
    items: later.map((phoneNumber) => ({
      phoneNumber,
      customerId: customers[1] ?? "",
      assigneeKind: 1,
      activationState: 2,
    })),
  });
}

/**
 * Fills the database with carriers that were there before: one for real, the others as its copies.
 */
export async function addNeighbours(
  exchange: Exchange,
  upload: (carrier: WorldCarrier) => Promise<void>,
): Promise<void> {
  const first = worldCarrier("neighbour-0", 0);
  await addNumbers(exchange, first);
  await upload(first);
  await appendDurations(exchange.services.db, first.carrierId, first.durations);
  await reconcileFully(exchange.services.db, first.carrierId, { nowMs: NOW_MS + 48 * 60 * MINUTE_MS });
  await asOwner(exchange, async (client) => {
    for (let copy = 1; copy < NEIGHBOURS; copy++)
      await copyCarrier(client, first.carrierId, `neighbour-${copy}`, copy + 4);
  });
}

// Every row of every table that a carrier leads, under another name and with other numbers.
async function copyCarrier(client: pg.Client, from: string, to: string, digit: number): Promise<void> {
  const { rows } = await client.query<{ name: string; columns: string[] }>(
    `SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND EXISTS (SELECT FROM pg_attribute k WHERE k.attrelid = c.oid AND k.attname = 'carrier_id')
     GROUP BY c.relname`,
  );
  for (const { name, columns } of rows) {
    const values = columns.map((column) => {
      if (column === "carrier_id") return "$2";
      if (/^(?:phone_number|calling_number)$/.test(column)) return `overlay(${column} PLACING $3::text FROM 5 FOR 1)`;
      if (/^(?:discrepancy_id|call_id|dialog_call_id|correlation_id|identity|customer_id)$/.test(column))
        return `$2 || ${column}`;
      return column;
    });
    const used = [from, to, String(digit)];
    await client.query(
      `INSERT INTO ${name} (${columns.join(", ")})
       SELECT ${values.join(", ")} FROM ${name} WHERE carrier_id = $1 AND $2::text <> '' AND $3::text <> '' ON CONFLICT DO NOTHING`,
      used,
    );
  }
}

/**
 * Gathers statistics of everything as it is now, as autoanalyze does: of partitions, not of what
 * they are partitions of.
 */
export async function analyzeAll(exchange: Exchange): Promise<void> {
  await asOwner(exchange, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace",
    );
    await client.query(`ANALYZE ${rows.map(({ name }) => name).join(", ")}`);
  });
}

/** As if nobody had ever gathered statistics. */
export async function forgetStatistics(exchange: Exchange): Promise<void> {
  const url = new URL(inject("postgresUrl"));
  url.pathname = new URL(exchange.databaseUrl).pathname;
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    const ours =
      "SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'i', 'I') AND relnamespace = 'public'::regnamespace";
    await client.query(`DELETE FROM pg_statistic WHERE starelid IN (${ours})`);
    await client.query(
      `UPDATE pg_class SET reltuples = -1, relpages = 0, relallvisible = 0 WHERE relkind IN ('r', 'p') AND oid IN (${ours})`,
    );
  } finally {
    await client.end();
  }
}

async function asOwner(exchange: Exchange, run: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  try {
    await run(client);
  } finally {
    await client.end();
  }
}
