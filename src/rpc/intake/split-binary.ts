import type { DescField } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { RecordPath } from "./record-paths.ts";

/** A request without its records, and where they stand in the bytes that it came in. */
export interface SplitRequest {
  /** The request's encoding without the records. */
  readonly head: Uint8Array;
  /** The start and end of each record, one after the other. */
  readonly bounds: readonly number[];
}

/**
 * Takes the records out of an encoded request, as a decoder would find them: fields in any order, a
 * batch in several parts, fields that this server does not know. The records' contents are not
 * looked at. Throws where the rest is not protobuf.
 */
export function splitBinary(path: RecordPath, bytes: Uint8Array): SplitRequest {
  const bounds: number[] = [];
  const head = withoutRecords(path.fields, { reader: new BinaryReader(bytes), bytes, bounds }, bytes.length);
  return { head, bounds };
}

interface Split {
  readonly reader: BinaryReader;
  readonly bytes: Uint8Array;
  readonly bounds: number[];
}

function withoutRecords(fields: readonly DescField[], split: Split, end: number): Uint8Array {
  const { reader, bytes, bounds } = split;
  const [field, ...inner] = fields as [DescField, ...DescField[]];
  const head = new BinaryWriter();
  while (reader.pos < end) {
    const start = reader.pos;
    const [number, wire] = reader.tag();
    if (number !== field.number || wire !== WireType.LengthDelimited) {
      reader.skip(wire, number);
      head.raw(bytes.subarray(start, reader.pos));
      // A later field of a oneof replaces an earlier one.
      if (field.oneof?.fields.some((other) => other.number === number)) bounds.length = 0;
      continue;
    }
    const length = reader.uint32();
    const partEnd = reader.pos + length;
    if (partEnd > end) throw new RangeError("premature end");
    if (inner.length === 0) {
      bounds.push(reader.pos, partEnd);
      reader.pos = partEnd;
    } else head.tag(number, wire).bytes(withoutRecords(inner, split, partEnd));
  }
  if (reader.pos !== end) throw new RangeError("premature end");
  return head.finish();
}
