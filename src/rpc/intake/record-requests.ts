import { type DescMessage, fromBinary, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { unreadableMessage } from "../../domain/errors.ts";
import {
  type AppendDurationsRequest,
  AppendDurationsRequestSchema,
  type UploadDurationsRequest,
  UploadDurationsRequestSchema,
} from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import {
  type IngestCdrsRequest,
  IngestCdrsRequestSchema,
} from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { decodeCdr } from "../../upload/records/cdr-decoder.ts";
import { decodeDuration } from "../../upload/records/duration-decoder.ts";
import type { RecordList } from "../../upload/records/record-list.ts";
import { type RecordReader, RecordsAsSent, readBinary } from "./binary-records.ts";
import { checkJsonRequest, STRICT_JSON } from "./json-faults.ts";
import { readJson } from "./json-records.ts";
import { recordBounds } from "./message-bounds.ts";
import type { RawMessage } from "./raw-messages.ts";
import { type RecordPath, recordPathOf } from "./record-paths.ts";
import { type SplitRequest, splitBinary } from "./split-binary.ts";
import { DROP_UNKNOWN_FIELDS } from "./unknown-fields.ts";

/** A request without its records, and these. Each of them is read for itself. */
interface RecordRequest<Request, Record> {
  readonly request: Request;
  readonly records: RecordList<Record>;
}

/**
 * Reads a frame of UploadDurations.
 * @throws TandemError INVALID_ARGUMENT for anything wrong outside of its records.
 */
export function readDurationFrame(message: RawMessage): RecordRequest<UploadDurationsRequest, CallDuration> {
  return readRequest(DURATION_FRAME, message);
}

/** Reads a frame of IngestCdrs, as `readDurationFrame`. */
export function readCdrFrame(message: RawMessage): RecordRequest<IngestCdrsRequest, CallDetailRecord> {
  return readRequest(CDR_FRAME, message);
}

/** Reads the request of AppendDurations, as `readDurationFrame`. */
export function readAppended(message: RawMessage): RecordRequest<AppendDurationsRequest, CallDuration> {
  return readRequest(APPEND, message);
}

interface RequestKind<I extends DescMessage, R extends DescMessage> {
  readonly input: I;
  readonly path: RecordPath;
  readonly reader: RecordReader<R>;
}

const DURATION = { schema: CallDurationSchema, bounds: recordBounds(CallDurationSchema), decodeFast: decodeDuration };
const CDR = {
  schema: CallDetailRecordSchema,
  bounds: recordBounds(CallDetailRecordSchema),
  decodeFast: decodeCdr,
};
const DURATION_FRAME = kindOf(UploadDurationsRequestSchema, DURATION);
const APPEND = kindOf(AppendDurationsRequestSchema, DURATION);
const CDR_FRAME = kindOf(IngestCdrsRequestSchema, CDR);

function kindOf<I extends DescMessage, R extends DescMessage>(input: I, reader: RecordReader<R>): RequestKind<I, R> {
  const path = recordPathOf({ input });
  if (!path) throw new Error(`${input.typeName} has no records`);
  return { input, path, reader };
}

function readRequest<I extends DescMessage, R extends DescMessage>(
  { input, path, reader }: RequestKind<I, R>,
  { bytes, isJson, split }: RawMessage,
): RecordRequest<MessageShape<I>, MessageShape<R>> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isJson) {
    if (!split) throw unreadableMessage();
    const request = readJsonHead(input, split.head);
    return { request, records: new RecordsAsSent(readJson(reader), buffer, split.bounds, false) };
  }
  try {
    const { head, bounds }: SplitRequest = splitBinary(path, bytes);
    const request = fromBinary(input, head, DROP_UNKNOWN_FIELDS.binaryOptions);
    return { request, records: new RecordsAsSent(readBinary(reader), buffer, bounds, true) };
  } catch (cause) {
    throw unreadableMessage(cause);
  }
}

function readJsonHead<I extends DescMessage>(input: I, head: Uint8Array): MessageShape<I> {
  let json: JsonValue;
  try {
    json = JSON.parse(strictUtf8.decode(head)) as JsonValue;
  } catch (cause) {
    throw unreadableMessage(cause);
  }
  checkJsonRequest(input, json);
  try {
    return fromJson(input, json, STRICT_JSON);
  } catch (cause) {
    throw unreadableMessage(cause);
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });
