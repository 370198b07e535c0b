import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  fromJsonString,
  type Message,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import {
  AppendDurationsResponseSchema,
  DurationService,
  UploadDurationsResponseSchema,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService, IngestCdrsResponseSchema } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { type RecordOutcome, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import type { FuzzClient } from "./fuzz-client.ts";
import { framed, rawInput, type Wire } from "./raw-call.ts";
import { mutateBinary, mutateJson, type Random } from "./record-mutations.ts";
import { cdrOf, durationOf } from "./upload-kinds.ts";

/** A batch of ten has one bad record. */
const BATCH = 10;

/** One of the methods that take records, in one of the codecs. */
export interface BadRecordTarget {
  readonly method: DescMethod;
  readonly wire: Wire;
  readonly record: DescMessage;
  readonly recordOf: (id: string) => Message;
  /** How the frames of a run are made, and what they are answered with. */
  readonly isUnary: boolean;
}

const DURATION = { record: CallDurationSchema, recordOf: (id: string) => durationOf({ id }) };
const CDR = { record: CallDetailRecordSchema, recordOf: (id: string) => cdrOf({ id }) };
const { uploadDurations, appendDurations } = DurationService.method;
const { ingestCdrs } = CdrService.method;

/** Every method that takes records, in binary and in JSON. */
export const BAD_RECORD_TARGETS: readonly BadRecordTarget[] = (["connect+proto", "connect+json"] as const).flatMap(
  (wire) => [
    { method: uploadDurations, wire, isUnary: false, ...DURATION },
    { method: appendDurations, wire, isUnary: true, ...DURATION },
    { method: ingestCdrs, wire, isUnary: false, ...CDR },
  ],
);

/**
 * What a run found: what was sent wrong, and what was told of records that nothing had happened to.
 */
export interface BadRecordRun {
  readonly sent: readonly string[];
  readonly accepted: number;
  readonly told: number;
  readonly faults: readonly string[];
}

/**
 * Sends so many batches of ten, in each of which something has happened to one record, and says
 * which others were not plainly accepted. The ids of a run are far apart, so that no record can
 * become another by a small change.
 */
export async function runBadRecords(
  client: FuzzClient,
  target: BadRecordTarget,
  random: Random,
  { carrierId, batches }: { carrierId: string; batches: number },
): Promise<BadRecordRun> {
  const run = crypto.randomUUID();
  const bad: { offset: number; bytes: Buffer }[] = [];
  const encode = target.wire.endsWith("json") ? encodeJson : encodeBinary;
  const sentBatches = Array.from({ length: batches }, (_, batch) => {
    const badAt = random(BATCH);
    return Array.from({ length: BATCH }, (_, index) => {
      const message = target.recordOf(`${crypto.randomUUID()}`);
      if (index !== badAt) return encode(target.record, message);
      const bytes = target.wire.endsWith("json")
        ? mutateJson(random, target.record, message)
        : mutateBinary(random, target.record, message);
      bad.push({ offset: batch * BATCH + index, bytes });
      return bytes;
    });
  });
  const frames = sentBatches.map((records, at) => frameOf(target, { run, firstOffset: at * BATCH, records }));
  const answers = target.isUnary
    ? await sendEach(client, target, frames)
    : await sendAll(client, target, [openOf(target, run, carrierId), ...frames]);
  return judgeRun(answers, bad, batches);
}

/** Sends these encoded records as one batch. */
export function sendRecords(
  client: FuzzClient,
  target: BadRecordTarget,
  { carrierId, records }: { carrierId: string; records: readonly Buffer[] },
): Promise<Answered> {
  const run = crypto.randomUUID();
  const frame = frameOf(target, { run, firstOffset: 0, records });
  return target.isUnary
    ? sendEach(client, target, [frame])
    : sendAll(client, target, [openOf(target, run, carrierId), frame]);
}

/** What was told of the records that were sent. */
export interface Answered {
  readonly failure: string | undefined;
  readonly accepted: number;
  readonly outcomes: readonly RecordOutcome[];
}

function judgeRun(answers: Answered, bad: readonly { offset: number; bytes: Buffer }[], batches: number): BadRecordRun {
  const badAt = new Set(bad.map(({ offset }) => offset));
  const told = answers.outcomes.filter(({ recordOffset }) => badAt.has(Number(recordOffset)));
  const faults: string[] = answers.failure === undefined ? [] : [answers.failure];
  for (const { recordOffset, verdict, message } of answers.outcomes)
    if (!badAt.has(Number(recordOffset))) faults.push(`good record ${recordOffset}: ${Verdict[verdict]} ${message}`);
  for (const { recordOffset, message, verdict } of told)
    if (message === "" || verdict === Verdict.UNSPECIFIED) faults.push(`record ${recordOffset}: nothing is said of it`);
  const refused = told.filter(({ verdict }) => verdict !== Verdict.ACCEPTED).length;
  if (answers.accepted + refused !== batches * BATCH)
    faults.push(`${answers.accepted} accepted and ${refused} refused of ${batches * BATCH}`);
  const sent = bad.map(({ offset, bytes }) => `${offset}: ${bytes.subarray(0, 2_000).toString("base64")}`);
  return { sent, accepted: answers.accepted, told: told.length, faults };
}

function encodeBinary(schema: DescMessage, message: Message): Buffer {
  return Buffer.from(toBinary(schema, message as MessageShape<DescMessage>));
}

function encodeJson(schema: DescMessage, message: Message): Buffer {
  return Buffer.from(toJsonString(schema, message as MessageShape<DescMessage>));
}

interface Batch {
  readonly run: string;
  readonly firstOffset: number;
  readonly records: readonly Buffer[];
}

function frameOf({ wire, isUnary }: BadRecordTarget, { run, firstOffset, records }: Batch): Buffer {
  if (wire.endsWith("json")) {
    const list = records.flatMap((record, at) => (at === 0 ? [record] : [Buffer.from(","), record]));
    const head = isUnary
      ? `{"uploadId":"${run}","firstOffset":${firstOffset},"records":[`
      : `{"batch":{"firstOffset":${firstOffset},"records":[`;
    return Buffer.concat([Buffer.from(head), ...list, Buffer.from(isUnary ? "]}" : "]}}")]);
  }
  if (isUnary)
    return Buffer.concat([
      field(1, Buffer.from(run)),
      varintField(2, firstOffset),
      ...records.map((record) => field(3, record)),
    ]);
  return field(2, Buffer.concat([varintField(1, firstOffset), ...records.map((record) => field(2, record))]));
}

function openOf({ method, wire, record }: BadRecordTarget, run: string, carrierId: string): Buffer {
  const open = record === CallDetailRecordSchema ? { carrierId, open: { uploadId: run } } : { uploadId: run };
  const message = create(method.input, { frame: { case: "open", value: open } } as never);
  return wire.endsWith("json") ? encodeJson(method.input, message) : encodeBinary(method.input, message);
}

async function sendEach(
  client: FuzzClient,
  { method, wire }: BadRecordTarget,
  frames: readonly Buffer[],
): Promise<Answered> {
  let accepted = 0;
  const outcomes: RecordOutcome[] = [];
  for (const frame of frames) {
    const { status, body } = await client.send(rawInput(method, wire, frame, { caller: "owner" }));
    if (status !== 200) return { failure: `HTTP ${status}: ${body}`, accepted, outcomes };
    const answer = wire.endsWith("json")
      ? fromJsonString(AppendDurationsResponseSchema, body.toString())
      : fromBinary(AppendDurationsResponseSchema, body);
    accepted += Number(answer.counts?.accepted ?? 0n);
    outcomes.push(...answer.outcomes);
  }
  return { failure: undefined, accepted, outcomes };
}

async function sendAll(client: FuzzClient, target: BadRecordTarget, frames: readonly Buffer[]): Promise<Answered> {
  const { method, wire, record } = target;
  const caller = record === CallDetailRecordSchema ? "other" : "owner";
  const input = {
    ...rawInput(method, wire, new Uint8Array(), { caller }),
    body: Buffer.concat(frames.map((frame) => framed(frame))),
  };
  const { body } = await client.send(input);
  let accepted = 0;
  let failure: string | undefined = "no end came";
  const outcomes: RecordOutcome[] = [];
  for (let at = 0; at + 5 <= body.length; at += 5 + body.readUInt32BE(at + 1)) {
    const message = body.subarray(at + 5, at + 5 + body.readUInt32BE(at + 1));
    if (body[at] === 2) {
      // There is no Finish: that is how a run ends.
      failure = message.includes("UPLOAD_NOT_FINISHED") ? undefined : message.toString();
      continue;
    }
    const { frame } = answerOf(target, message);
    if (frame.case !== "ack") continue;
    accepted += Number(frame.value.counts?.accepted ?? 0n);
    outcomes.push(...frame.value.outcomes);
  }
  return { failure, accepted, outcomes };
}

function answerOf({ record, wire }: BadRecordTarget, message: Buffer) {
  const isJson = wire.endsWith("json");
  if (record === CallDetailRecordSchema)
    return isJson
      ? fromJsonString(IngestCdrsResponseSchema, message.toString())
      : fromBinary(IngestCdrsResponseSchema, message);
  return isJson
    ? fromJsonString(UploadDurationsResponseSchema, message.toString())
    : fromBinary(UploadDurationsResponseSchema, message);
}

function field(no: number, content: Uint8Array): Buffer {
  return Buffer.concat([varint((no << 3) | 2), varint(content.length), content]);
}

function varintField(no: number, value: number): Buffer {
  return Buffer.concat([varint(no << 3), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}
