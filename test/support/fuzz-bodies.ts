import { gzipSync } from "node:zlib";
import { create, type DescMessage, type DescMethod, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import fc from "fast-check";
import { arbitraryMessage } from "./arbitrary-message.ts";
import { hostileValue, type KnownValues, likelyValues } from "./fuzz-values.ts";

/** How a body's messages are written. */
export type Encoding = "proto" | "json";

/** A body: what it is made of does not have to be what its headers say. */
export interface Body {
  readonly bytes: Uint8Array;
  /** The compression that the headers name; undefined: none. */
  readonly compression: string | undefined;
}

/**
 * Requests of a method: such as a good client sends, spoiled ones, damaged ones, and what is none
 * at all.
 */
export class RequestArbitraries {
  readonly #method: DescMethod;
  readonly #known: KnownValues;
  readonly #messages: fc.Arbitrary<Message>;

  constructor(method: DescMethod, known: KnownValues) {
    this.#method = method;
    this.#known = known;
    this.#messages = messagesOf(method.input, known);
  }

  /** One message, or for a stream of requests a few, in frames of five bytes and a length. */
  framed(encoding: Encoding): fc.Arbitrary<Body> {
    const one = this.#encoded(encoding);
    const few = this.#isStream ? this.#sequence(encoding) : one.map((message) => [message]);
    const good = few.map((messages) => plain(Buffer.concat(messages.map((message) => frame(0, message)))));
    return fc.oneof({ weight: 8, arbitrary: good }, { weight: 2, arbitrary: misframed(one) });
  }

  /** One message, without a frame. */
  bare(encoding: Encoding): fc.Arbitrary<Body> {
    const one = this.#encoded(encoding);
    return fc.oneof(
      { weight: 9, arbitrary: one.map(plain) },
      { weight: 1, arbitrary: compressed(one, (bytes) => bytes) },
    );
  }

  get #isStream(): boolean {
    return this.#method.methodKind === "bidi_streaming" || this.#method.methodKind === "client_streaming";
  }

  // As the protocol has it, beginning with what opens, or in any order.
  #sequence(encoding: Encoding): fc.Arbitrary<Uint8Array[]> {
    const [member] = this.#method.input.oneofs;
    const first = member?.fields[0];
    const any = fc.array(this.#encoded(encoding), { minLength: 1, maxLength: 4 });
    if (!member || !first?.message) return any;
    const input = this.#method.input;
    const opening = messagesOf(first.message, this.#known).map((value) =>
      encode(input, create(input, { [member.localName]: { case: first.localName, value } }), encoding),
    );
    const opened = fc.tuple(opening, fc.array(this.#encoded(encoding), { maxLength: 3 }));
    return fc.oneof(
      { weight: 3, arbitrary: opened.map(([message, more]) => [message, ...more]) },
      { weight: 1, arbitrary: any },
    );
  }

  #encoded(encoding: Encoding): fc.Arbitrary<Uint8Array> {
    const whole = this.#messages.map((message) => encode(this.#method.input, message, encoding));
    const damaged = encoding === "proto" ? damagedBytes(whole) : damagedJson(whole);
    return fc.oneof(
      { weight: 8, arbitrary: whole },
      { weight: 3, arbitrary: damaged },
      { weight: 1, arbitrary: encoding === "proto" ? garbage : jsonGarbage },
    );
  }
}

function messagesOf(schema: DescMessage, known: KnownValues): fc.Arbitrary<Message> {
  const valuesOf = likelyValues(known);
  const full = arbitraryMessage(schema, { valuesOf, presence: 12 });
  const sparse = arbitraryMessage(schema, { valuesOf, presence: 1 });
  const any = arbitraryMessage(schema, { unknownFields: true });
  const spoiled = fc
    .tuple(full, any, fc.array(fc.nat(40), { minLength: 4, maxLength: 4 }))
    .map(([good, bad, picks]) => spoil(schema, good, bad, picks));
  return fc.oneof(
    { weight: 4, arbitrary: full },
    { weight: 2, arbitrary: sparse },
    { weight: 4, arbitrary: spoiled },
    { weight: 2, arbitrary: any },
  );
}

/** Takes one field, somewhere, from another message. */
function spoil(schema: DescMessage, good: Message, bad: Message, [pick = 0, ...picks]: readonly number[]): Message {
  const member = schema.members[pick % schema.members.length];
  if (!member) return good;
  const into = good as unknown as Record<string, unknown>;
  const from = bad as unknown as Record<string, unknown>;
  const inner = member.kind === "field" && member.fieldKind === "message" ? member.message : undefined;
  const value = into[member.localName];
  const other = from[member.localName];
  if (inner && value && other && picks.length > 0) spoil(inner, value as Message, other as Message, picks);
  else if (other !== undefined) into[member.localName] = other;
  return good;
}

function encode(schema: DescMessage, message: Message, encoding: Encoding): Uint8Array {
  if (encoding === "proto") return toBinary(schema, message);
  try {
    return Buffer.from(toJsonString(schema, message), "utf8");
  } catch {
    // Not everything that can be said in binary has a form in JSON.
    return Buffer.from(JSON.stringify(message, (_key, value) => (typeof value === "bigint" ? String(value) : value)));
  }
}

const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom(
    // Groups within groups, and one that never ends.
    Buffer.alloc(20_000, 0x0b),
    Buffer.concat([Buffer.alloc(60, 0x0b), Buffer.alloc(60, 0x0c)]),
    // A varint without end, a length beyond all, a field of number 0.
    Buffer.alloc(30, 0xff),
    Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
    Buffer.from([0x00, 0x00]),
    // Texts that are not UTF-8: halves of a surrogate pair, a byte too many, one too few.
    Buffer.from([0x0a, 0x03, 0xed, 0xa0, 0x80]),
    Buffer.from([0x12, 0x02, 0xc3, 0x28]),
    Buffer.from([0x0a, 0x01, 0xe2]),
  ),
);

type Change = readonly [kind: number, at: number, value: number];

/** Bytes of which some were flipped, cut out, put in or repeated. */
function damagedBytes(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat(6), fc.nat(4_000), fc.nat(255));
  return fc
    .tuple(whole, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([bytes, changes]) => changes.reduce(damage, Buffer.from(bytes)));
}

function damage(bytes: Buffer, [kind, place, value]: Change): Buffer {
  const at = place % (bytes.length + 1);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (kind) {
    case 0:
      return Buffer.concat([
        before,
        after.length > 0 ? Buffer.from([after.readUInt8() ^ (1 << (value & 7))]) : after,
        after.subarray(1),
      ]);
    case 1:
      return before;
    case 2:
      return Buffer.concat([before, Buffer.from([value]), after]);
    case 3:
      return Buffer.concat([bytes, after]);
    case 4:
      // A field that the message may know, of another kind.
      return Buffer.concat([bytes, Buffer.from([((value & 31) << 3) | (place & 7), value, place & 255])]);
    case 5:
      // A number beyond every range, in a field of the message or none.
      return Buffer.concat([bytes, Buffer.from([(value & 15) << 3, ...new Array<number>(9).fill(0xff), 0x01])]);
    default:
      return Buffer.concat([bytes, Buffer.from([0xfa, 0xff, 0xff, 0xff, 0x0f, value & 3, 1, 2, 3])]);
  }
}

const JSON_TOKENS = [
  "null",
  "1e999",
  "-0",
  '"NaN"',
  "NaN",
  "{}",
  "[]",
  "[[[[]]]]",
  "true",
  '""',
  "99999999999999999999999",
  "1.5",
  '"\\ud800"',
  '"\\u0000"',
  '{"__proto__":{"a":1}}',
  '{"seconds":1,"nanos":2}',
  '"2026-13-45T99:99:99Z"',
  '"0001-01-01T00:00:00Z"',
  '"9999-12-31T23:59:59.999999999Z"',
] as const;

/** JSON of which a value was put in another's place, or a piece was cut out. */
function damagedJson(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const token = fc.oneof(
    fc.constantFrom(...JSON_TOKENS),
    hostileValue.map((value) => JSON.stringify(value)),
  );
  return fc.tuple(whole, fc.nat(60), token, fc.boolean()).map(([bytes, place, value, isCut]) => {
    const text = Buffer.from(bytes).toString("utf8");
    if (isCut && place % 4 === 0) return Buffer.from(text.slice(0, (place * 7) % (text.length + 1)), "utf8");
    const values = [...text.matchAll(/(?<=[:[,])("(?:[^"\\]|\\.)*"|-?[\d.]+|true|false|null)(?=[,\]}])/g)];
    const chosen = values[place % Math.max(1, values.length)];
    if (!chosen) return Buffer.from(`{"field":${value}}`, "utf8");
    return Buffer.from(text.slice(0, chosen.index) + value + text.slice(chosen.index + chosen[0].length), "utf8");
  });
}

const jsonGarbage = fc.oneof(
  fc.json({ maxDepth: 3 }).map((text) => Buffer.from(text, "utf8")),
  fc.uint8Array({ maxLength: 60 }),
  fc.constantFrom(
    ...[
      "",
      "{",
      "null",
      "[]",
      '"',
      "{}{}",
      '{"":1}',
      '{"a":1,"a":2}',
      "[".repeat(50_000),
      '{"a":'.repeat(20_000),
      "\ufeff{}",
    ].map((text) => Buffer.from(text, "utf8")),
  ),
);

function plain(bytes: Uint8Array): Body {
  return { bytes, compression: undefined };
}

const FLAG_COMPRESSED = 1;

/** A frame: flags, four bytes of length, the message. */
function frame(flags: number, message: Uint8Array, length: number = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([head, message]);
}

function misframed(one: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Body> {
  const wrongLength = fc
    .tuple(one, fc.constantFrom(-1, 1, 5, 4_194_305, 0x7fffffff, 0xffffffff))
    .map(([message, more]) => plain(frame(0, message, more > 5 ? more : Math.max(0, message.length + more))));
  return fc.oneof(
    wrongLength,
    fc.tuple(one, fc.constantFrom(1, 2, 3, 0x80, 0xff)).map(([message, flags]) => plain(frame(flags, message))),
    fc.tuple(one, one).map(([message, other]) => plain(Buffer.concat([frame(0, message), frame(0, other)]))),
    fc
      .tuple(one, fc.uint8Array({ maxLength: 12 }))
      .map(([message, rest]) => plain(Buffer.concat([frame(0, message), rest]))),
    fc.tuple(one, fc.nat(8)).map(([message, missing]) => {
      const bytes = frame(0, message);
      return plain(bytes.subarray(0, Math.max(0, bytes.length - missing)));
    }),
    one.map(plain),
    fc.constant(plain(new Uint8Array())),
    compressed(one, (bytes) => frame(FLAG_COMPRESSED, bytes)),
  );
}

/** Compressed as its headers say, or not; and little that becomes much. */
function compressed(one: fc.Arbitrary<Uint8Array>, wrap: (bytes: Uint8Array) => Uint8Array): fc.Arbitrary<Body> {
  const named = fc.constantFrom("gzip", "gzip", "gzip", "br", "identity", "x-none");
  const zipped = one.map((message) => gzipSync(message));
  const broken = fc.tuple(zipped, fc.nat(30)).map(([bytes, at]) => damage(bytes, [0, at, at]));
  const content = fc.oneof(
    { weight: 4, arbitrary: zipped },
    { weight: 1, arbitrary: one },
    { weight: 1, arbitrary: broken },
    { weight: 1, arbitrary: fc.constant(BOMB) },
  );
  return fc.tuple(content, named).map(([bytes, compression]) => ({ bytes: wrap(bytes), compression }));
}

const BOMB = gzipSync(Buffer.alloc(6 * 1_048_576, 0x20), { level: 9 });
