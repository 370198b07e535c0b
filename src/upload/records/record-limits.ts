import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { RecordProblem } from "../../domain/calls/field-checks.ts";
import { dayNumber } from "../../domain/time/instant.ts";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import type { SentRecord } from "../../store/records/record-rows.ts";
import type { PreparedRecord } from "./prepared.ts";

/** Largest record, bytes encoded. */
export const MAX_RECORD_BYTES = 65_536;

const MAX_MESSAGE_UNITS = 512;
const MAX_RECORD_ID_CHARACTERS = 128;
const NOTHING = new Uint8Array(0);

/**
 * The refusal of a record over 64 KiB. To be called only where that is possible: with each field in
 * its bounds and no unknown fields, a record is far below.
 */
export function sizeRefusal<T extends DescMessage>(schema: T, message: MessageShape<T>): RecordProblem | undefined {
  const bytes = encodedBytes(schema, message);
  return bytes <= MAX_RECORD_BYTES ? undefined : tooManyBytes(bytes);
}

/** The refusal of a record that is larger than any may be. */
export function tooManyBytes(bytes: number): RecordProblem {
  const message = `the record is ${bytes} bytes encoded, expected at most ${MAX_RECORD_BYTES}`;
  return recordProblem(RecordIssue.TOO_LARGE, message);
}

/** What is wrong with a record as a whole, and not with one of its fields. */
export function recordProblem(issue: RecordIssue, message: string): RecordProblem {
  return { issue, message, retryable: false };
}

/**
 * A record that is refused: what its verdict and a later comparison need, and nothing that a table
 * could not hold.
 */
export function refusedRecord(
  sent: Pick<SentRecord, "recordId" | "recordDate" | "revision" | "isVoid" | "contentHash" | "connectedDurationMs">,
  refusal: RecordProblem,
): PreparedRecord<undefined> {
  return {
    ...sent,
    recordId: storableRecordId(sent.recordId),
    recordDate: dayNumber(sent.recordDate) === undefined ? "" : sent.recordDate,
    partyHash: 0n,
    refusal: toldProblem(refusal),
    warnings: [],
    candidates: [],
    startTime: undefined,
    row: undefined,
    payload: NOTHING,
    payloadBytes: 0,
  };
}

/** The given warnings, as clients are told them. */
export function toldWarnings(...found: (RecordProblem | undefined)[]): RecordProblem[] {
  const warnings: RecordProblem[] = [];
  for (const warning of found) if (warning !== undefined) warnings.push(toldProblem(warning));
  const [first, ...others] = warnings;
  // An outcome has room for the first only, which names the others.
  if (first && others.length > 0) warnings[0] = { ...first, message: joined(warnings.map(({ message }) => message)) };
  return warnings;
}

function joined(messages: readonly string[]): string {
  return messages.join("; ").slice(0, MAX_MESSAGE_UNITS).toWellFormed();
}

// The problem with its field in front, cut to what an outcome may hold.
function toldProblem(found: RecordProblem): RecordProblem {
  const said = found.fieldPath === undefined ? found.message : `${found.fieldPath}: ${found.message}`;
  return { ...found, message: said.slice(0, MAX_MESSAGE_UNITS).toWellFormed() };
}

function storableRecordId(recordId: string): string {
  if (recordId.length <= MAX_RECORD_ID_CHARACTERS && recordId.isWellFormed() && !recordId.includes("\0"))
    return recordId;
  const storable = recordId
    .slice(0, MAX_RECORD_ID_CHARACTERS * 2)
    .toWellFormed()
    .replaceAll("\0", "\ufffd");
  return [...storable].slice(0, MAX_RECORD_ID_CHARACTERS).join("");
}

// What cannot be encoded did not come over the wire; it is refused for its actual fault.
function encodedBytes<T extends DescMessage>(schema: T, message: MessageShape<T>): number {
  try {
    return toBinary(schema, message).length;
  } catch {
    return 0;
  }
}
