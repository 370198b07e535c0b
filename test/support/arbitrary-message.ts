import { create, type DescField, type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import fc from "fast-check";

/** Any message of a type that could come over the wire: hostile texts, ends of ranges, unknown enum values and, if asked for, unknown fields. */
export function arbitraryMessage<T extends DescMessage>(
  schema: T,
  options: { unknownFields?: boolean } = {},
): fc.Arbitrary<MessageShape<T>> {
  return arbitrary(schema, options.unknownFields ?? false) as fc.Arbitrary<MessageShape<T>>;
}

/** A field that this server does not know, as protobuf-es keeps it. */
export const unknownField = { no: 1_999, wireType: 2, data: new Uint8Array([3, 97, 98, 99]) };

const hostileText = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.constantFrom(
    "",
    "\0",
    "a\0b",
    "\ud800",
    "x\udfff",
    "+4930123456",
    "112",
    "2026-03-14",
    "\u202e\u200b",
    "é".repeat(129),
    "x".repeat(70_000),
  ),
);
const int32 = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 2_147_483_647, -2_147_483_648));
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 1n, -1n, 253_402_300_799n, -253_402_300_799n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)),
  fc.bigInt({ min: 1_773_000_000n, max: 1_774_000_000n }),
);

function arbitrary(schema: DescMessage, unknownFields: boolean): fc.Arbitrary<object> {
  const values: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of schema.fields) values[field.localName] = fieldValue(field, unknownFields);
  if (unknownFields)
    values["$unknown"] = fc.oneof(
      { weight: 4, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constant([unknownField]) },
    );
  return fc.record(values).map((record) => {
    const set = Object.entries(record).filter(([, value]) => value !== undefined);
    return create(schema, Object.fromEntries(set)) as object;
  });
}

function fieldValue(field: DescField, unknownFields: boolean): fc.Arbitrary<unknown> {
  if (field.fieldKind === "list") return fc.array(listItem(field, unknownFields), { maxLength: 3 });
  return fc.option(singular(field, unknownFields), { nil: undefined });
}

function listItem(field: DescField & { fieldKind: "list" }, unknownFields: boolean): fc.Arbitrary<unknown> {
  return field.message ? arbitrary(field.message, unknownFields) : fc.integer({ min: 0, max: 9 });
}

function singular(field: DescField, unknownFields: boolean): fc.Arbitrary<unknown> {
  if (field.message) return arbitrary(field.message, unknownFields);
  if (field.enum)
    return fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) }, { weight: 1, arbitrary: int32 });
  switch (field.scalar) {
    case ScalarType.STRING:
      return hostileText;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.INT64:
      return int64;
    case ScalarType.DOUBLE:
      return fc.double();
    default:
      return int32;
  }
}
