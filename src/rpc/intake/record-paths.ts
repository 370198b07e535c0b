import type { DescField, DescMessage, DescMethod } from "@bufbuild/protobuf";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";

/** Where the records of an upload's request stand. */
export interface RecordPath {
  /** From the request inwards; the last is the list of records. */
  readonly fields: readonly DescField[];
  readonly record: DescMessage;
}

const RECORDS: ReadonlySet<DescMessage> = new Set<DescMessage>([CallDurationSchema, CallDetailRecordSchema]);

/** Where the records stand in a method's requests. Undefined: it takes no records. */
export function recordPathOf({ input }: Pick<DescMethod, "input">): RecordPath | undefined {
  return findPath(input, []);
}

function findPath(message: DescMessage, before: readonly DescField[]): RecordPath | undefined {
  for (const field of message.fields) {
    if (!field.message || before.includes(field)) continue;
    const fields = [...before, field];
    if (field.fieldKind === "list" && RECORDS.has(field.message)) return { fields, record: field.message };
    const inner = field.fieldKind === "message" ? findPath(field.message, fields) : undefined;
    if (inner) return inner;
  }
  return undefined;
}
