import { execFile } from "node:child_process";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { expect } from "vitest";
import { type Erasure, PrivacyService, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import type { Exchange } from "./exchange.ts";

const MINUTE_MS = 60_000;
let requests = 0;

/** Asks for a number to be erased from calls of the last hours up to a minute ago, or as told. */
export async function askErasure(
  exchange: Exchange,
  phoneNumber: string,
  options: {
    startMs?: number;
    endMs?: number;
    role?: SubjectRole;
    requestId?: string;
    validateOnly?: boolean;
  } = {},
): Promise<Erasure> {
  const client = await exchange.platformClient(PrivacyService);
  const { erasure } = await client.erasePhoneNumber({
    requestId: options.requestId ?? `erase-${requests++}`,
    phoneNumber,
    startTime: timestampFromMs(options.startMs ?? Date.now() - 6 * 60 * MINUTE_MS),
    endTime: timestampFromMs(options.endMs ?? Date.now() - MINUTE_MS),
    role: options.role ?? SubjectRole.ANY,
    caseReference: "case-7",
    verifiedBy: "privacy desk",
    validateOnly: options.validateOnly ?? false,
  });
  if (!erasure) throw new Error("no erasure was returned");
  return erasure;
}

/** Waits until an erasure has come to its end for now, and returns it with its receipt. */
export async function untilErased(exchange: Exchange, erasureId: string): Promise<Erasure> {
  const client = await exchange.platformClient(PrivacyService);
  let last: Erasure | undefined;
  await expect
    .poll(
      async () => {
        last = (await client.getErasure({ erasureId })).erasure;
        return last?.receipt !== undefined;
      },
      { interval: 50 },
    )
    .toBe(true);
  return last as Erasure;
}

/** Asks for an erasure and waits for it. */
export async function erase(
  exchange: Exchange,
  phoneNumber: string,
  options: Parameters<typeof askErasure>[2] = {},
): Promise<Erasure> {
  const { erasureId } = await askErasure(exchange, phoneNumber, options);
  return untilErased(exchange, erasureId);
}

/**
 * Where a number still stands, in any column of any table (partitions and indexes are of the same
 * rows): as text, and as bytes in what is encoded; in every format that it may have been written
 * in.
 */
export async function searchDatabase(databaseUrl: string, phoneNumber: string, national: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows: columns } = await client.query<{ table: string; column: string; type: string }>(
      `SELECT c.relname AS table, a.attname AS column, a.atttypid::regtype::text AS type FROM pg_class c
       JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind IN ('r', 'm') AND a.attnum > 0 AND NOT a.attisdropped
         AND c.relnamespace = current_schema()::regnamespace`,
    );
    const pattern = [...national].map(escapedDigit).join(`(?:[ ().\\-/]|\\\\[0-7]{3}|[\u00a0\u2013]){0,4}`);
    const found: string[] = [];
    for (const { table, column, type } of columns) {
      const [tableName, columnName] = [client.escapeIdentifier(table), client.escapeIdentifier(column)];
      const text = type === "bytea" ? `encode(${columnName}, 'escape')` : `${columnName}::text`;
      const { rows } = await client.query<{ found: string }>(
        `SELECT count(*) AS found FROM ${tableName} WHERE ${text} ~ $1 OR position($2 IN ${text}) > 0`,
        [pattern, phoneNumber],
      );
      if (Number(rows[0]?.found) > 0) found.push(`${table}.${column}`);
    }
    return found.sort();
  } finally {
    await client.end();
  }
}

/** Waits until every record of a carrier is judged and none is pending. */
export async function untilReconciled(exchange: Exchange, carrierId: string, results: number): Promise<void> {
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  try {
    await expect
      .poll(
        async () => {
          const { rows } = await client.query<{ settled: boolean }>(
            `SELECT count(*) FILTER (WHERE status <> 11) >= $2 AND count(*) FILTER (WHERE status = 11) = 0
               AND (SELECT bool_and(h.next_sequence - 1 <= CASE h.feed WHEN 2 THEN p.cdr_sequence ELSE p.duration_sequence END)
                 FROM feed_head h JOIN reconcile_position p ON p.carrier_id = h.carrier_id WHERE h.carrier_id = $1 AND h.feed IN (2, 4)) AS settled
             FROM call_result WHERE carrier_id = $1`,
            [carrierId, results],
          );
          return rows[0]?.settled;
        },
        { interval: 20 },
      )
      .toBe(true);
  } finally {
    await client.end();
  }
}

/**
 * The database as text: by pg_dump, where there is one that knows the server's version, else as
 * COPY gives every table. What is encoded is in it as hexadecimal digits.
 */
export async function dumpDatabase(databaseUrl: string): Promise<string> {
  const dumped = await promisify(execFile)("pg_dump", ["--data-only", databaseUrl], { maxBuffer: 1 << 28 }).catch(
    () => undefined,
  );
  if (dumped) return dumped.stdout;
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ table: string }>(
      "SELECT c.oid::regclass::text AS table FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace",
    );
    let dump = "";
    for (const { table } of rows) dump += `${table}\n${await text(client.query(copyTo(`COPY ${table} TO STDOUT`)))}`;
    return dump;
  } finally {
    await client.end();
  }
}

function fullWidth(digit: string): string {
  return String.fromCodePoint(0xff10 + Number(digit));
}

// Of ASCII or of full width, the latter as PostgreSQL's `escape` has its bytes, or as text.
function escapedDigit(digit: string): string {
  return `(?:${digit}|\\\\357\\\\274\\\\22${digit}|${fullWidth(digit)})`;
}

/**
 * The lines of a text in which a number stands: its national part, with separators or without, as
 * text or as hexadecimal digits of it.
 */
export function findNumber(haystack: string, national: string): string[] {
  const plain = [...national]
    .map((digit) => `[${digit}${fullWidth(digit)}]`)
    .join("(?:%20|[ ().\\-/\u00a0\u2013]){0,3}");
  const hex = [...national].map((digit) => `(?:3${digit}|efbc9${digit})`).join("(?:2[0-9def]|c2a0|e28093)*");
  const [asText, asBytes] = [new RegExp(plain), new RegExp(hex)];
  // Digits of bytes in hex are no text: those of a cipher may be any.
  const withoutBytes = (line: string) => line.replaceAll(/\\\\x[0-9a-f]+/g, "");
  return haystack.split("\n").filter((line) => asText.test(withoutBytes(line)) || asBytes.test(line));
}
