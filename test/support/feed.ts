import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";
import { type RawBuilder, sql } from "kysely";
import { expect, vi } from "vitest";
import type { App } from "../../src/app.ts";
import { tandemReason } from "../../src/client/errors.ts";
import { FeedId } from "../../src/domain/feed-id.ts";
import type {
  CdrService,
  StreamCdrsRequestSchema,
  StreamCdrsResponse,
} from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import type {
  ReconciliationService,
  WatchDiscrepanciesRequestSchema,
  WatchDiscrepanciesResponse,
} from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { Discrepancy } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { ownerTransaction } from "../../src/store/database/database.ts";
import { cdrCodec } from "../../src/upload/records/record-codecs.ts";
import { EVENTUALLY_MS } from "./limits.ts";

/** The number that the calls of `call` are made with; `assignNumbers` it first. */
export const NUMBER = "+441632960001";
const HOUR_MS = 3_600_000;
const BATCH = 2_000;

type StreamRequest = MessageInitShape<typeof StreamCdrsRequestSchema>;
type WatchRequest = MessageInitShape<typeof WatchDiscrepanciesRequestSchema>;
/** A message of a feed whose entries have their sequences. */
type FeedResponse = StreamCdrsResponse | WatchDiscrepanciesResponse;
type CallChanges = MessageInitShape<typeof CallDetailRecordSchema>;

/** From the oldest entry that is kept. */
export const EARLIEST = { position: { case: "earliest" as const, value: {} } };
/** After the newest entry. */
export const LATEST = { position: { case: "latest" as const, value: {} } };
/** To the newest entry at the time of the call. */
export const HEAD = { position: { case: "head" as const, value: {} } };

/** After the entry that a cursor names, or with it. */
export function atCursor(cursor: string) {
  return { position: { case: "cursor" as const, value: cursor } };
}

/** At an instant of ingest, microseconds since 1970. */
export function atTime(micros: bigint) {
  const value = { seconds: micros / 1_000_000n, nanos: Number(micros % 1_000_000n) * 1_000 };
  return { position: { case: "ingestTime" as const, value } };
}

/** An answered call of 60 s an hour ago, by NUMBER. */
export function call(recordId: string, changes: CallChanges = {}, inviteMs = Date.now() - HOUR_MS): CallDetailRecord {
  return create(CallDetailRecordSchema, {
    recordId,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    callId: `call-${recordId}`,
    direction: 1,
    parties: { calling: { kind: 1, value: NUMBER }, called: { kind: 1, value: "+12025550123" } },
    times: {
      inviteTime: timestamp(inviteMs),
      answerTime: timestamp(inviteMs + 5_000),
      endTime: timestamp(inviteMs + 65_000),
    },
    outcome: { finalSipCode: 200 },
    ...changes,
  } as CallChanges);
}

/** So many calls, named after a prefix. */
export function calls(prefix: string, count: number, changes: CallChanges = {}): CallDetailRecord[] {
  return Array.from({ length: count }, (_, index) => call(`${prefix}-${index}`, changes));
}

/** A millisecond as a protobuf timestamp. */
export function timestamp(ms: number): { seconds: bigint; nanos: number } {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 };
}

/** Puts records into a carrier's feed through the uploads; every one must be accepted. */
export async function ingest(app: App, carrierId: string, records: readonly CallDetailRecord[]): Promise<void> {
  const horizons = { firstDays: 400, laterDays: 400 };
  const target = { carrierId, codec: cdrCodec, horizons, validateOnly: false };
  const open = { uploadId: randomUUID(), acknowledgedOffset: 0n };
  for (let offset = 0; offset < records.length; offset += BATCH) {
    const messages = records.slice(offset, offset + BATCH);
    const { counts } = await app.services.uploads.append(
      target,
      open,
      { firstOffset: BigInt(offset), messages },
      undefined,
    );
    expect(counts.accepted).toBe(messages.length);
  }
}

/**
 * Runs a statement as the database's owner: what a restore or a job of another process would do.
 */
export async function runSql<Row>(app: App, statement: RawBuilder<Row>): Promise<Row[]> {
  return ownerTransaction(app.services.db, async (tx) => (await statement.execute(tx)).rows);
}

/** Raises the oldest sequence that is kept, as retention does. */
export async function raiseFloor(
  app: App,
  carrierId: string,
  earliestSequence: bigint,
  feed: FeedId = FeedId.CDRS,
): Promise<void> {
  await runSql(
    app,
    sql`UPDATE feed_head SET earliest_sequence = ${earliestSequence} WHERE carrier_id = ${carrierId} AND feed = ${feed}`,
  );
}

/** One call of a feed, read in the background. */
export interface ReadFeed<Message = StreamCdrsResponse> extends Disposable {
  /** What has come so far. */
  readonly messages: Message[];
  /** Resolves when the stream ends: with its error, or undefined when it ended with OK. */
  readonly ended: Promise<ConnectError | undefined>;
  /** Waits until what has come fulfils a condition. */
  until(condition: (messages: readonly Message[]) => boolean, timeoutMs?: number): Promise<void>;
}

/** Opens a feed and reads it until it ends or is disposed. */
export function readFeed(client: Client<typeof CdrService>, request: StreamRequest): ReadFeed {
  return readStream((signal) => client.streamCdrs(request, { signal }));
}

/** Opens a feed of discrepancies and reads it until it ends or is disposed. */
export function readDiscrepancies(
  client: Client<typeof ReconciliationService>,
  request: WatchRequest,
): ReadFeed<WatchDiscrepanciesResponse> {
  return readStream((signal) => client.watchDiscrepancies(request, { signal }));
}

function readStream<Message>(open: (signal: AbortSignal) => AsyncIterable<Message>): ReadFeed<Message> {
  const controller = new AbortController();
  const messages: Message[] = [];
  const ended = (async () => {
    try {
      for await (const message of open(controller.signal)) messages.push(message);
      return undefined;
    } catch (error) {
      return ConnectError.from(error);
    }
  })();
  return {
    messages,
    ended,
    until: (condition, timeoutMs = EVENTUALLY_MS) =>
      vi.waitFor(() => expect(condition(messages)).toBe(true), { timeout: timeoutMs, interval: 10 }),
    [Symbol.dispose]: () => controller.abort(),
  };
}

/**
 * Reads a feed to its end, which must be END_REACHED and then OK, and holds every message against
 * the rules.
 */
export async function readAll(client: Client<typeof CdrService>, request: StreamRequest) {
  using feed = readFeed(client, request);
  const error = await feed.ended;
  if (error) throw error;
  const { messages } = feed;
  expect(closingReason(messages)).toBe("END_REACHED");
  checkRanges(messages, request.filter !== undefined);
  return { messages, entries: entriesOf(messages), records: recordsOf(messages), ids: idsOf(messages) };
}

/** Reads a feed of discrepancies to its end, likewise. */
export async function readAllDiscrepancies(client: Client<typeof ReconciliationService>, request: WatchRequest) {
  using feed = readDiscrepancies(client, request);
  const error = await feed.ended;
  if (error) throw error;
  const { messages } = feed;
  expect(closingReason(messages)).toBe("END_REACHED");
  checkRanges(messages, request.filter !== undefined);
  return { messages, discrepancies: discrepanciesOf(messages) };
}

/** The discrepancies among the entries of messages. */
export function discrepanciesOf(messages: readonly WatchDiscrepanciesResponse[]): Discrepancy[] {
  const entries = messages.flatMap(({ frame }) => (frame.case === "batch" ? frame.value.entries : []));
  return entries.flatMap(({ entry }) => (entry.case === "discrepancy" ? [entry.value] : []));
}

/**
 * Holds messages against rule 1: each begins where the one before ended, carries a cursor, and
 * holds what its range says.
 */
export function checkRanges(messages: readonly FeedResponse[], filtered = false): void {
  let position = messages[0]?.afterSequence;
  for (const { afterSequence, throughSequence, cursor, frame } of messages) {
    expect(afterSequence).toBe(position);
    expect(cursor).not.toBe("");
    expect(cursor.length).toBeLessThanOrEqual(512);
    const sequences = frame.case === "batch" ? frame.value.entries.map(({ entry }) => entry.value?.sequence ?? 0n) : [];
    if (filtered) {
      const within = sequences.every((sequence) => sequence > afterSequence && sequence <= throughSequence);
      expect(within).toBe(true);
      expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => Number(a - b)));
    } else {
      const count = Number(throughSequence - afterSequence);
      expect(sequences).toEqual(Array.from({ length: count }, (_, index) => afterSequence + BigInt(index) + 1n));
    }
    position = throughSequence;
  }
}

/** The entries of messages. */
export function entriesOf(messages: readonly StreamCdrsResponse[]) {
  return messages.flatMap(({ frame }) => (frame.case === "batch" ? frame.value.entries : []));
}

/** The records among the entries of messages. */
export function recordsOf(messages: readonly StreamCdrsResponse[]): CallDetailRecord[] {
  return entriesOf(messages).flatMap(({ entry }) => (entry.case === "record" ? [entry.value] : []));
}

/** The record ids of messages, by sequence. */
export function idsOf(messages: readonly StreamCdrsResponse[]): string[] {
  return recordsOf(messages).map((record) => record.recordId);
}

/** The frames of messages, by name. */
export function framesOf(messages: readonly FeedResponse[]): (string | undefined)[] {
  return messages.map(({ frame }) => frame.case);
}

/** Why the server closed the stream; undefined when no Closing came last. */
export function closingReason(messages: readonly FeedResponse[]): string | undefined {
  const last = messages.at(-1)?.frame;
  return last?.case === "closing" ? CLOSING[last.value.reason] : undefined;
}

const CLOSING = [
  "UNSPECIFIED",
  "DRAINING",
  "MAX_AGE",
  "END_REACHED",
  "CREDENTIAL_EXPIRING",
  "SUSPENDED",
  "SLOW_CONSUMER",
];

/** The reason and metadata of the error that a call ends with; fails when it does not fail. */
export async function refusal(
  outcome: Promise<unknown>,
): Promise<{ reason: string | undefined; [key: string]: unknown }> {
  const error = await outcome.then(
    (value) => value,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ConnectError);
  const found = tandemReason(error);
  return { code: (error as ConnectError).code, reason: found?.reason, ...found?.metadata };
}

/** How a stream that is refused before its first message is refused. */
export async function refusedFeed(client: Client<typeof CdrService>, request: StreamRequest) {
  using feed = readFeed(client, request);
  const refused = await refusal(feed.ended);
  expect(feed.messages).toEqual([]);
  return refused;
}

/** Waits until a reading is what is expected. Works in concurrent tests too. */
export async function until<T>(read: () => T | Promise<T>, expected: T, timeoutMs = EVENTUALLY_MS): Promise<void> {
  await vi.waitFor(async () => expect(await read()).toEqual(expected), { timeout: timeoutMs, interval: 20 });
}

/** No stream and no subscription of a process is left, whatever ended the streams. */
export async function untilNoStreams({ services: { slots, hub } }: App): Promise<void> {
  await until(() => [slots.count, hub.subscriberCount], [0, 0]);
}
