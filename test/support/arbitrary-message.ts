import {
  create,
  type DescField,
  type DescMessage,
  type DescOneof,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import fc from "fast-check";

/** What becomes of a message's fields. */
export interface MessageOptions {
  /** Whether some messages have fields that no version knows. Default false. */
  readonly unknownFields?: boolean;
  /**
   * The values of a field, an item of it if it is a list; undefined: any at all, the ends of its
   * type's range among them.
   */
  readonly valuesOf?: (field: DescField) => fc.Arbitrary<unknown> | undefined;
  /** How many times more often a field is set than not. Default 5. */
  readonly presence?: number;
}

/**
 * Any message of a type that could come over the wire: hostile texts, ends of ranges, unknown enum
 * values and, if asked for, unknown fields.
 */
export function arbitraryMessage<T extends DescMessage>(
  schema: T,
  options: MessageOptions = {},
): fc.Arbitrary<MessageShape<T>> {
  return arbitrary(schema, options) as fc.Arbitrary<MessageShape<T>>;
}

/** A field that this server does not know, as protobuf-es keeps it. */
export const unknownField = { no: 1_999, wireType: 2, data: new Uint8Array([3, 97, 98, 99]) };

export const hostileText = fc.oneof(
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

function arbitrary(schema: DescMessage, options: MessageOptions): fc.Arbitrary<object> {
  const values: Record<string, fc.Arbitrary<unknown>> = {};
  for (const member of schema.members) {
    values[member.localName] = member.kind === "oneof" ? oneOf(member, options) : fieldValue(member, options);
  }
  if (options.unknownFields)
    values["$unknown"] = fc.oneof(
      { weight: 4, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constant([unknownField]) },
    );
  return fc.record(values).map((record) => {
    const set = Object.entries(record).filter(([, value]) => value !== undefined);
    return create(schema, Object.fromEntries(set)) as object;
  });
}

function oneOf({ fields }: DescOneof, options: MessageOptions): fc.Arbitrary<unknown> {
  const cases = fields.map((field) => singular(field, options).map((value) => ({ case: field.localName, value })));
  return maybe(fc.oneof(...cases), options);
}

function fieldValue(field: DescField, options: MessageOptions): fc.Arbitrary<unknown> {
  if (field.fieldKind === "list") return fc.array(singular(field, options), { maxLength: 3 });
  // None of the contract's requests has one.
  if (field.fieldKind === "map") return fc.constant({});
  return maybe(singular(field, options), options);
}

function maybe(value: fc.Arbitrary<unknown>, { presence = 5 }: MessageOptions): fc.Arbitrary<unknown> {
  return fc.option(value, { nil: undefined, freq: presence });
}

/** The value of a field, or of an item of a list. */
function singular(field: DescField, options: MessageOptions): fc.Arbitrary<unknown> {
  return options.valuesOf?.(field) ?? anyValue(field, options);
}

function anyValue(field: DescField, options: MessageOptions): fc.Arbitrary<unknown> {
  if (field.message) return arbitrary(field.message, options);
  if (field.enum)
    return fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) }, { weight: 1, arbitrary: int32 });
  switch (field.scalar) {
    case ScalarType.STRING:
      return hostileText;
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 40 });
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
