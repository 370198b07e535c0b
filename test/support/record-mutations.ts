import type { Message } from "@bufbuild/protobuf";
import { type DescMessage, type JsonObject, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";

/** A source of numbers that a seed makes again. */
export type Random = (below: number) => number;

/** Numbers from a seed (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** An encoded record that something has happened to. */
export function mutateBinary(random: Random, schema: DescMessage, message: Message): Buffer {
  const bytes = Buffer.from(toBinary(schema, message as never));
  const at = random(bytes.length);
  switch (random(12)) {
    case 0:
    case 1:
    case 2:
      bytes[at] = random(256);
      return bytes;
    case 3:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
      return bytes;
    case 4:
      return bytes.subarray(0, at);
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random(8))]);
    case 6:
      return Buffer.concat([bytes.subarray(0, at), noise(random, 1 + random(8)), bytes.subarray(at)]);
    case 7:
      return Buffer.concat([bytes, noise(random, 1 + random(40))]);
    case 8:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))]);
    case 9:
      return Buffer.concat([bytes, hostileField(random)]);
    case 10:
      return Buffer.concat([bytes, textInAnyField(random, schema)]);
    default:
      return noise(random, random(200));
  }
}

/**
 * A record in JSON that something has happened to. Its braces and quotes stay: without them nobody
 * could say where it ends.
 */
export function mutateJson(random: Random, schema: DescMessage, message: Message): Buffer {
  const json = toJson(schema, message as never) as JsonObject;
  if (random(4) === 0) return mutateText(random, Buffer.from(JSON.stringify(json)));
  const places = placesOf(json);
  const { holder, name } = places[random(places.length)] as Place;
  const object = holder as Record<string, JsonValue>;
  switch (random(5)) {
    case 0:
      delete object[name];
      break;
    case 1:
      object[`${name}X`] = object[name] as JsonValue;
      delete object[name];
      break;
    default:
      object[name] = hostileValue(random);
  }
  return Buffer.from(JSON.stringify(json));
}

const STRUCTURE: ReadonlySet<number> = new Set(Buffer.from('"\\{}'));

function mutateText(random: Random, bytes: Buffer): Buffer {
  const free = [...bytes.keys()].filter((at) => !STRUCTURE.has(bytes[at] as number));
  let byte = random(256);
  while (STRUCTURE.has(byte)) byte = random(256);
  bytes[free[random(free.length)] as number] = byte;
  return bytes;
}

interface Place {
  readonly holder: JsonObject | JsonValue[];
  readonly name: string;
}

function placesOf(json: JsonValue): Place[] {
  if (typeof json !== "object" || json === null) return [];
  return Object.entries(json).flatMap(([name, value]) => [
    { holder: json as JsonObject, name },
    ...placesOf(value as JsonValue),
  ]);
}

function hostileValue(random: Random): JsonValue {
  const values: JsonValue[] = [
    ...[null, true, -1, 0, 1.5, 1e300, -(2 ** 63), 2 ** 53, 2 ** 31],
    ...["", "x", "NaN", "Infinity", "-1", "99999999999999999999", "2026-09-31T00:00:00Z", "2026-09-31"],
    ...["DIRECTION_SIDEWAYS", "\u0000", "\ud800", "\ufffd", "x".repeat(300), "x".repeat(70_000), "+".repeat(17)],
    ...[[], {}, [[]], [{}], { kind: 1 }, { nobody: [{ knows: {} }] }, nested(40), new Array(3_000).fill({})],
  ];
  return values[random(values.length)] as JsonValue;
}

function nested(depth: number): JsonValue {
  let value: JsonValue = {};
  for (let level = 0; level < depth; level++) value = { inner: [value] };
  return value;
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)));
}

/** What a field may be that costs much to read, or means something else to each reader. */
function hostileField(random: Random): Buffer {
  const fields = [
    // Groups within groups, of a field that nobody knows, with their ends and without.
    Buffer.concat([Buffer.alloc(80, Buffer.from([0xfb, 0x7c])), Buffer.alloc(80, Buffer.from([0xfc, 0x7c]))]),
    Buffer.alloc(200, Buffer.from([0xfb, 0x7c])),
    // More parts and unknown fields than a record has, and more bytes.
    Buffer.alloc(6_000, Buffer.from([0x8a, 0x01, 0x00])),
    Buffer.alloc(6_000, Buffer.from([0xe0, 0x76, 0x00])),
    Buffer.concat([Buffer.from([0xc2, 0x01, 0xf0, 0xa2, 0x04]), Buffer.alloc(70_000, "x")]),
    // Numbers of eleven bytes and of ten with all bits set, a length beyond everything, a field 0
    // and a wire type that is none.
    Buffer.from([0x18, ...new Array(10).fill(0xff), 0x01]),
    Buffer.from([0x18, ...new Array(9).fill(0xff), 0x01]),
    Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    Buffer.from([0x00, 0x01]),
    Buffer.from([0x0f, 0x01]),
  ];
  return fields[random(fields.length)] as Buffer;
}

/** A text of Latin-1 in a field of the record, whatever its type. */
function textInAnyField(random: Random, schema: DescMessage): Buffer {
  const field = schema.fields[random(schema.fields.length)];
  const tag = ((field?.number ?? 1) << 3) | 2;
  const head = tag < 0x80 ? [tag] : [(tag & 0x7f) | 0x80, tag >> 7];
  return Buffer.concat([Buffer.from([...head, 5]), Buffer.from("Gr\u00fc\u00dfe", "latin1")]);
}
