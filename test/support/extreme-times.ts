import {
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescOneof,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { call } from "./feed.ts";
import { likelyText } from "./likely-text.ts";
import { DATES, PERIOD } from "./two-carriers.ts";
import { durationOf } from "./upload-kinds.ts";

/** A request with one time, or one period, at an end of what can be said. */
export interface ExtremeRequest {
  /** Which field, or which two, and what is in them. */
  readonly what: string;
  /** One message; for an upload its frames. */
  readonly messages: readonly Message[];
}

const INT64 = [0n, -1n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 9_223_372_036_854_776n];
const INT32 = [0, -1, 2 ** 31 - 1, -(2 ** 31)];
const FIRST = -62_135_596_800n;
const LAST = 253_402_300_799n;
const TIMESTAMPS: readonly (readonly [bigint, number])[] = [
  [FIRST, 0],
  [FIRST, 1],
  [FIRST + 86_400n, 0],
  [0n, 0],
  [-1n, 999_999_999],
  [LAST - 86_400n, 0],
  [LAST, 0],
  [LAST, 999_999_999],
  // No longer times: past the years 1 to 9999, past what an int64 counts in microseconds, with
  // nanos that are none.
  [FIRST - 1n, 999_999_999],
  [LAST + 1n, 0],
  [9_223_372_036_855n, 0],
  [2n ** 63n - 1n, 999_999_999],
  [-(2n ** 63n), 0],
  [0n, -1],
  [0n, 1_000_000_000],
  [0n, 2 ** 31 - 1],
];
const DURATIONS: readonly (readonly [bigint, number])[] = [
  [0n, 0],
  [315_576_000_000n, 999_999_999],
  [-315_576_000_000n, -999_999_999],
  [315_576_000_001n, 0],
  [1n, -1],
  [-1n, 1],
  [2n ** 63n - 1n, 999_999_999],
  [-(2n ** 63n), -999_999_999],
];
const DAYS = [
  ...["0001-01-01", "0001-01-02", "9999-12-30", "9999-12-31", "0000-12-31", "10000-01-01", "-0001-01-01"],
  ...["", "2026-02-30", "2026-1-1", "infinity", "today", "9999-12-31T00:00:00Z", "+010000-01-01"],
];
const PERIODS_OF_DAYS = [
  ["0001-01-01", "0001-01-02"],
  ["0001-01-01", "0001-02-01"],
  ["9999-12-30", "9999-12-31"],
  ["9999-12-01", "9999-12-31"],
  ["0001-01-01", "9999-12-31"],
  ["9999-12-31", "0001-01-01"],
] as const;
const PERIODS_OF_TIMES: readonly (readonly [readonly [bigint, number], readonly [bigint, number]])[] = [
  [
    [FIRST, 0],
    [FIRST, 1_000],
  ],
  [
    [FIRST, 0],
    [FIRST + 86_400n, 0],
  ],
  [
    [LAST - 86_400n, 0],
    [LAST, 999_999_999],
  ],
  [
    [LAST, 999_999_000],
    [LAST, 999_999_999],
  ],
  [
    [FIRST, 0],
    [LAST, 999_999_999],
  ],
];
const TIME_ZONES = ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "America/New_York", "Europe/Copenhagen"];
/** Deeper than any request. */
const MAX_DEPTH = 8;

/**
 * Every request of a method that has one of its times at an extreme, with little else and with
 * everything else.
 */
export function* extremeRequests(method: DescMethod): Generator<ExtremeRequest> {
  let count = 0;
  const finish = (what: string, message: Message): ExtremeRequest => ({
    what,
    messages: framesOf(method, message, count++),
  });
  for (const path of timePaths(method.input, [])) {
    for (const isFull of [false, true]) {
      for (const value of extremesOf(path.at(-1) as DescField)) {
        const message = likelyMessage(method.input, isFull, path[0]);
        setAt(message, path, value);
        yield finish(`${nameOf(path)}=${show(value)}`, message);
      }
    }
  }
  for (const period of periodsOf(method.input)) {
    const message = likelyMessage(method.input, false, period[0]?.path[0]);
    for (const { path, value } of period) setAt(message, path, value);
    yield finish(period.map(({ path, value }) => `${nameOf(path)}=${show(value)}`).join(" "), message);
  }
}

function nameOf(path: readonly DescField[]): string {
  return path.map(({ name }) => name).join(".");
}

/**
 * The paths of all times in a message: instants, spans, days, and numbers that count a unit of
 * time.
 */
function* timePaths(schema: DescMessage, above: readonly DescField[]): Generator<readonly DescField[]> {
  for (const field of schema.fields) {
    const path = [...above, field];
    if (isTime(field)) yield path;
    else if (field.message && path.length < MAX_DEPTH && !above.some(({ message }) => message === field.message))
      yield* timePaths(field.message, path);
  }
}

function isTime(field: DescField): boolean {
  if (field.fieldKind === "map") return false;
  if (field.message) return isWellKnown(field.message, "Timestamp") || isWellKnown(field.message, "Duration");
  if (field.scalar === ScalarType.STRING) return /(^|_)(date|day|month)s?$/.test(field.name);
  return isNumber(field) && /(^|_)(micros|ms|s|seconds|minutes|hours|days)$/.test(field.name);
}

function isNumber({ scalar }: DescField): boolean {
  return scalar === ScalarType.INT64 || scalar === ScalarType.INT32;
}

function isWellKnown(message: DescMessage, name: string): boolean {
  return message.typeName === `google.protobuf.${name}`;
}

function extremesOf(field: DescField): readonly unknown[] {
  if (field.message) {
    const pairs = isWellKnown(field.message, "Timestamp") ? TIMESTAMPS : DURATIONS;
    return pairs.map((pair) => timeOf(field, pair));
  }
  if (field.scalar === ScalarType.STRING) return DAYS;
  return field.scalar === ScalarType.INT64 ? INT64 : INT32;
}

function timeOf(field: DescField, [seconds, nanos]: readonly [bigint, number]): Message {
  return create(field.message as DescMessage, { seconds, nanos });
}

interface FieldValue {
  readonly path: readonly DescField[];
  readonly value: unknown;
}

/**
 * Both ends of each period that a request asks for, at the ends of the calendar, in each of some
 * time zones if it has one.
 */
function* periodsOf(schema: DescMessage, above: readonly DescField[] = []): Generator<readonly FieldValue[]> {
  yield* periodsOfTimes(schema, above);
  yield* periodsOfDays(schema, above);
  for (const inner of schema.fields) {
    const isNew = !above.some(({ message }) => message === inner.message);
    if (inner.message && isNew && above.length < MAX_DEPTH) yield* periodsOf(inner.message, [...above, inner]);
  }
}

function* periodsOfTimes(schema: DescMessage, above: readonly DescField[]): Generator<readonly FieldValue[]> {
  const [start, end] = [fieldOf(schema, "start_time"), fieldOf(schema, "end_time")];
  if (!start?.message || !end?.message) return;
  for (const [first, last] of PERIODS_OF_TIMES)
    yield [
      { path: [...above, start], value: timeOf(start, first) },
      { path: [...above, end], value: timeOf(end, last) },
    ];
}

function* periodsOfDays(schema: DescMessage, above: readonly DescField[]): Generator<readonly FieldValue[]> {
  const [start, end] = [fieldOf(schema, "start_date"), fieldOf(schema, "end_date")];
  const timeZone = fieldOf(schema, "time_zone");
  if (!start || !end) return;
  for (const [first, last] of PERIODS_OF_DAYS) {
    const days = [
      { path: [...above, start], value: first },
      { path: [...above, end], value: last },
    ];
    if (!timeZone) yield days;
    else for (const value of TIME_ZONES) yield [...days, { path: [...above, timeZone], value }];
  }
}

function fieldOf(schema: DescMessage, name: string): DescField | undefined {
  return schema.fields.find((each) => each.name === name);
}

/**
 * A message that a good client might send: what identifies, and periods; everything else only if it
 * is to be full.
 */
function likelyMessage(schema: DescMessage, isFull: boolean, chosen?: DescField, depth = 0): Message {
  const own = RECORDS[schema.typeName]?.();
  if (own) return own;
  const message = create(schema) as Message;
  for (const member of schema.members) {
    const field = member.kind === "oneof" ? chooseOf(member, chosen) : member;
    const isWanted = isFull || field === chosen || isUsual(field);
    if (isWanted && depth < MAX_DEPTH) setAt(message, [field], likelyValue(field, isFull, depth));
  }
  return message;
}

const RECORDS: Readonly<Record<string, () => Message>> = {
  "tandem.type.v1.CallDetailRecord": () => call("acme-record-0"),
  "tandem.type.v1.CallDuration": () => durationOf({ id: "acme-duration-1" }),
};

function chooseOf({ fields }: DescOneof, chosen: DescField | undefined): DescField {
  return (chosen && fields.includes(chosen) ? chosen : fields[0]) as DescField;
}

function isUsual(field: DescField): boolean {
  if (field.fieldKind === "list") return field.message !== undefined;
  if (field.oneof) return true;
  return !field.proto.proto3Optional && (!field.message || /^(start|end)_time$/.test(field.name));
}

function likelyValue(field: DescField, isFull: boolean, depth: number): unknown {
  if (field.message) return likelyInner(field, field.message, isFull, depth);
  if (field.enum) return field.enum.values[1]?.number ?? 0;
  if (field.scalar === ScalarType.STRING) return likelyText(field.name, DATES);
  if (field.scalar === ScalarType.BOOL) return false;
  if (field.scalar === ScalarType.INT64) return 0n;
  return field.scalar === ScalarType.BYTES ? new Uint8Array() : 0;
}

function likelyInner({ name }: DescField, message: DescMessage, isFull: boolean, depth: number): Message {
  if (isWellKnown(message, "Timestamp"))
    return create(message, name.startsWith("end") ? PERIOD.endTime : PERIOD.startTime);
  if (isWellKnown(message, "Duration")) return create(message, { seconds: 60n });
  if (isWellKnown(message, "FieldMask")) return create(message);
  return likelyMessage(message, isFull, undefined, depth + 1);
}

/** Sets what is at the end of a path, and makes what is missing on the way. */
function setAt(message: Message, path: readonly DescField[], value: unknown): void {
  const [field, ...rest] = path as [DescField, ...DescField[]];
  const inner =
    rest.length === 0 ? value : (readAt(message, field) ?? likelyMessage(field.message as DescMessage, false, rest[0]));
  if (rest.length > 0) setAt(inner as Message, rest, value);
  const fields = message as unknown as Record<string, unknown>;
  if (field.oneof) fields[field.oneof.localName] = { case: field.localName, value: inner };
  else fields[field.localName] = field.fieldKind === "list" ? [inner] : inner;
}

function readAt(message: Message, field: DescField): Message | undefined {
  const fields = message as unknown as Record<string, unknown>;
  if (field.oneof) {
    const chosen = fields[field.oneof.localName] as { case?: string; value?: Message };
    return chosen.case === field.localName ? chosen.value : undefined;
  }
  const value = fields[field.localName];
  return (Array.isArray(value) ? value[0] : value) as Message | undefined;
}

/** An upload's later frame comes after an open one; each upload is a new one. */
function framesOf(method: DescMethod, message: Message, count: number): readonly Message[] {
  if (method.methodKind === "unary" || method.methodKind === "server_streaming") return [message];
  const open = method.input.fields.find(({ name }) => name === "open");
  if (!open) return [message];
  const first = readAt(message, open) ? message : likelyMessage(method.input, false, open);
  const uploadId = `${method.name}-${count}`;
  const opened = readAt(first, open) as unknown as { uploadId?: string; open?: { uploadId: string } };
  Object.assign(opened.open ?? opened, { uploadId });
  return first === message ? [message] : [first, message];
}

function show(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const { seconds, nanos } = value as { seconds: bigint; nanos: number };
  return `${seconds}s${nanos}ns`;
}
