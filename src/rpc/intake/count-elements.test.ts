import { create, type DescMessage, fromBinary, fromJsonString, type Message, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FieldMaskSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryMessage } from "../../../test/support/arbitrary-message.ts";
import { listMethods } from "../../../test/support/contract.ts";
import { TandemError } from "../../domain/errors.ts";
import { HealthListResponseSchema } from "../../gen/grpc/health/v1/health_pb.js";
import { ListCdrsRequestSchema } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { AppendDurationsRequestSchema } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { countBinary, MAX_DEPTH } from "./count-elements.ts";
import { countJson } from "./count-json.ts";
import { shapeOf } from "./wire-shape.ts";

const NO_BOUNDS = { maxElements: Number.MAX_SAFE_INTEGER, maxObjects: Number.MAX_SAFE_INTEGER };

describe("in binary", () => {
  test("a field counts each time that it comes, also one of which the last wins", () => {
    const writer = new BinaryWriter();
    for (let time = 0; time < 5; time++) writer.tag(1, WireType.LengthDelimited).string("u");
    expect(count(AppendDurationsRequestSchema, writer.finish())).toEqual({ elements: 5, objects: 0 });
  });

  test("an empty message, which takes two bytes, counts as an element and an object", () => {
    const bytes = Buffer.alloc(20, Buffer.from([0x1a, 0x00]));
    expect(count(AppendDurationsRequestSchema, bytes)).toEqual({ elements: 10, objects: 10 });
  });

  test("a record counts as one, whatever it holds, and whether it can be read or not", () => {
    const bytes = Buffer.concat([Buffer.from([0x1a, 4, 0x0a, 0x00, 0x12, 0x00]), Buffer.from([0x1a, 1, 0xff])]);
    const shape = shapeOf(AppendDurationsRequestSchema);
    const counted = countBinary(shape, bytes, NO_BOUNDS, shapeOf(CallDurationSchema));
    expect(counted).toMatchObject({ elements: 2, objects: 2, records: 2 });
  });

  test("a text without characters counts", () => {
    expect(count(AppendDurationsRequestSchema, Buffer.alloc(20, Buffer.from([0x0a, 0x00]))).elements).toBe(10);
  });

  test("each of the items that are packed into one field counts, and so it does unpacked", () => {
    const filter = ListCdrsRequestSchema.fields.find(({ name }) => name === "filter");
    const list = filter?.message?.fields.find(
      ({ fieldKind, name }) => fieldKind === "list" && name.endsWith("verdicts"),
    );
    if (!filter || !list) throw new Error("the contract has no such list");
    const packed = new BinaryWriter().tag(filter.number, WireType.LengthDelimited).fork();
    packed.tag(list.number, WireType.LengthDelimited).bytes(Buffer.alloc(100, 1));
    expect(count(ListCdrsRequestSchema, packed.join().finish())).toEqual({ elements: 102, objects: 1 });
    const single = new BinaryWriter().tag(filter.number, WireType.LengthDelimited).fork();
    for (let item = 0; item < 100; item++) single.tag(list.number, WireType.Varint).int32(1);
    expect(count(ListCdrsRequestSchema, single.join().finish())).toEqual({ elements: 101, objects: 1 });
  });

  test("fields that no message has count as objects, and groups of them with all that is in them", () => {
    const group = new BinaryWriter().tag(1900, WireType.StartGroup);
    for (let field = 0; field < 7; field++) group.tag(1901, WireType.Varint).int32(0);
    group.tag(1900, WireType.EndGroup);
    expect(count(AppendDurationsRequestSchema, group.finish())).toEqual({ elements: 8, objects: 8 });
  });

  test("each entry of a map counts, with its key and its value", () => {
    const message = create(HealthListResponseSchema, { statuses: { a: { status: 1 }, b: { status: 1 } } });
    // The entry, its key, its value and what is in that.
    expect(count(HealthListResponseSchema, toBinary(HealthListResponseSchema, message)).elements).toBe(8);
  });

  test("what is over a bound is refused with the limit and its unit, where it is passed", () => {
    const bytes = Buffer.alloc(2_000, Buffer.from([0x1a, 0x00]));
    expect(refusal(() => countBinary(shapeOf(AppendDurationsRequestSchema), bytes, bound(999)))).toMatchObject({
      reason: "MESSAGE_TOO_LARGE",
      metadata: { limit: "999", unit: "elements" },
    });
    expect(count(AppendDurationsRequestSchema, bytes, bound(1_000)).elements).toBe(1_000);
    const objects = { maxElements: 10_000, maxObjects: 999 };
    expect(refusal(() => countBinary(shapeOf(AppendDurationsRequestSchema), bytes, objects))).toMatchObject({
      metadata: { limit: "999", unit: "objects" },
    });
  });

  test("messages and groups that are nested too deep are refused", () => {
    const deep = nestedTypes(MAX_DEPTH + 1);
    expect(refusal(() => count(FileDescriptorSetSchema, deep))).toMatchObject({ metadata: { unit: "levels" } });
    expect(refusal(() => count(AppendDurationsRequestSchema, Buffer.alloc(200, 0xe3)))).toBeDefined();
    const groups = Buffer.alloc(3 * 100, Buffer.from([0xe3, 0x76]));
    expect(refusal(() => count(AppendDurationsRequestSchema, groups))).toMatchObject({ metadata: { unit: "levels" } });
  });

  test.each([
    ["a message's field written as a number", [0x18, 0x05, 0x08, 0x00]],
    ["a text written as a fixed number", [0x0d, 1, 2, 3, 4]],
    ["a part that is longer than what it is in", [0x1a, 0x02, 0x0a, 0x05, 0, 0, 0, 0, 0]],
    ["a number without end", [0x10, ...new Array<number>(11).fill(0xff)]],
    ["a tag beyond 32 bits", [0xff, 0xff, 0xff, 0xff, 0x7f, 0x00]],
    ["the field number 0", [0x00, 0x00]],
    ["the end of a group that never began", [0xe4, 0x76]],
    ["a wire type that there is not", [0x0e, 0x00]],
    ["half a fixed number", [0xe1, 0x76, 0x00]],
  ])("%s is refused as unreadable", (_what, bytes) => {
    const refused = refusal(() => count(AppendDurationsRequestSchema, Buffer.from(bytes)));
    expect(refused?.reason).toBe("INVALID_ARGUMENT");
  });

  test("of every message of the contract as many elements are counted as decoding finds", async () => {
    for (const method of [...(await listMethods("carrier")), ...(await listMethods("platform"))]) {
      for (const schema of [method.input, method.output]) {
        fc.assert(
          fc.property(arbitraryMessage(schema, {}), (message) => {
            const bytes = toBinary(schema, message);
            expect(count(schema, bytes).elements).toBe(elementsOf(schema, fromBinary(schema, bytes)));
          }),
          { numRuns: 10 },
        );
      }
    }
  });
});

describe("in JSON", () => {
  test.each([
    ["{}", 1, 1],
    ['{"a":1,"b":[1,2,3],"c":{"d":"e"}}', 8, 3],
    ['  [ null , true,false , -1.5e3 , "x" ]  ', 6, 1],
    ['{"a\\"b":"c\\\\","d":"[1,2,{"}', 3, 1],
    ["", 0, 0],
  ])("the values of %s are counted, and not the names", (text, elements, objects) => {
    expect(countJson(Buffer.from(text), NO_BOUNDS)).toEqual({ elements, objects });
  });

  test("the commas of a field mask count as paths", () => {
    expect(countJson(Buffer.from('{"updateMask":"a,b,c"}'), NO_BOUNDS, true).elements).toBe(4);
    expect(fromJsonString(FieldMaskSchema, '"a,b,c"').paths).toHaveLength(3);
  });

  test.each([
    [String.raw`"a\u002cb\u002Cc"`, 3],
    [String.raw`"a\\u002cb"`, 1],
    [String.raw`"a\\\u002cb"`, 2],
    [String.raw`"a\u002db,"`, 2],
  ])("commas that are escaped count as well: %s", (text, paths) => {
    expect(countJson(Buffer.from(text), NO_BOUNDS, true).elements).toBe(paths);
    expect((JSON.parse(text) as string).split(",")).toHaveLength(paths);
  });

  test("what is over a bound is refused, also where colons would take something back", () => {
    const list = `[${"0,".repeat(1_000)}0]`;
    expect(refusal(() => countJson(Buffer.from(list), bound(1_001)))).toMatchObject({
      reason: "MESSAGE_TOO_LARGE",
      metadata: { limit: "1001", unit: "elements" },
    });
    expect(countJson(Buffer.from(list), bound(1_002)).elements).toBe(1_002);
    expect(refusal(() => countJson(Buffer.from(`${list}${":".repeat(2_000)}`), bound(1_000)))).toBeDefined();
    expect(refusal(() => countJson(Buffer.from("[{},{}]"), { maxElements: 9, maxObjects: 2 }))).toMatchObject({
      metadata: { unit: "objects" },
    });
    expect(refusal(() => countJson(Buffer.from("[".repeat(100)), NO_BOUNDS))).toMatchObject({
      metadata: { unit: "levels" },
    });
  });

  test("of any JSON as many values are counted as parsing finds", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        expect(countJson(Buffer.from(text), NO_BOUNDS).elements).toBe(valuesOf(JSON.parse(text)));
      }),
    );
  });
});

function count(schema: DescMessage, bytes: Uint8Array, bounds = NO_BOUNDS) {
  const { elements, objects } = countBinary(shapeOf(schema), bytes, bounds);
  return { elements, objects };
}

function bound(maxElements: number) {
  return { maxElements, maxObjects: maxElements };
}

function refusal(attempt: () => unknown): TandemError | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    if (error instanceof TandemError) return error;
    throw error;
  }
}

/** A file with a message within a message, and so on. */
function nestedTypes(depth: number): Uint8Array {
  const inner = (left: number): Uint8Array => {
    const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string("M");
    return left === 0
      ? writer.finish()
      : writer
          .tag(3, WireType.LengthDelimited)
          .bytes(inner(left - 1))
          .finish();
  };
  const file = new BinaryWriter().tag(4, WireType.LengthDelimited).bytes(inner(depth)).finish();
  return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(file).finish();
}

/** The elements of a message that was decoded from what protobuf-es has encoded. */
function elementsOf(schema: DescMessage, message: Message): number {
  return schema.fields.reduce((total, field) => total + fieldElements(field, message), 0);
}

function fieldElements(field: DescMessage["fields"][number], message: Message): number {
  const values = message as unknown as Record<string, unknown>;
  const oneof = field.oneof && (values[field.oneof.localName] as { case?: string; value?: unknown });
  if (oneof && oneof.case !== field.localName) return 0;
  const value = oneof ? oneof.value : values[field.localName];
  if (value === undefined || value === null) return 0;
  switch (field.fieldKind) {
    case "message":
      return 1 + elementsOf(field.message, asMessage(field.message, value));
    case "list": {
      const items = value as unknown[];
      if (field.listKind === "message")
        return items.reduce<number>(
          (sum, item) => sum + 1 + elementsOf(field.message, asMessage(field.message, item)),
          0,
        );
      return items.length === 0 ? 0 : items.length + (field.packed ? 1 : 0);
    }
    case "map":
      return Object.values(value).reduce<number>(
        (sum, item) => sum + 3 + (field.message ? elementsOf(field.message, item as Message) : 0),
        0,
      );
    default: {
      const isSet = field.presence === 1 || Boolean(oneof) || !isZero(value);
      return isSet ? 1 : 0;
    }
  }
}

function asMessage(schema: DescMessage, value: unknown): Message {
  const isMessage = typeof value === "object" && value !== null && "$typeName" in value;
  return isMessage ? (value as Message) : create(schema, { value } as never);
}

function isZero(value: unknown): boolean {
  if (value instanceof Uint8Array) return value.length === 0;
  return value === "" || value === 0n || value === false || Object.is(value, 0);
}

function valuesOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce<number>((sum, inner) => sum + valuesOf(inner), 1);
}
