import { type DescEnum, type DescField, ScalarType } from "@bufbuild/protobuf";
import fc from "fast-check";
import { hostileText } from "./arbitrary-message.ts";
import { type CarrierNames, DATES, PERIOD } from "./two-carriers.ts";

/** How many values of one name are remembered. */
const MAX_REMEMBERED = 64;

/**
 * Names, ids, page tokens and cursors that exist, by the name of the field that takes them: those
 * of two carriers, and what the server has handed out since.
 */
export class KnownValues {
  readonly #values = new Map<string, string[]>();
  readonly #next = new Map<string, number>();

  constructor(carriers: readonly CarrierNames[]) {
    for (const names of carriers) {
      for (const [key, field] of Object.entries(FIELD_OF)) this.add(field, names[key as keyof CarrierNames]);
    }
  }

  /** Remembers a value; the oldest of its name make room. */
  add(field: string, value: string): void {
    const known = this.#values.get(field) ?? [];
    if (value === "" || known.includes(value)) return;
    const at = this.#next.get(field) ?? 0;
    known[at] = value;
    this.#values.set(field, known);
    this.#next.set(field, (at + 1) % MAX_REMEMBERED);
  }

  /** Remembers what an answer in JSON handed out. */
  learn(answer: string): void {
    for (const [, key = "", value = ""] of answer.matchAll(/"(\w+)":"([^"\\]{1,600})"/g)) {
      const field = LEARNED[key];
      if (field) this.add(field, value);
    }
  }

  /** Any of a name's values; undefined: none is known. */
  pick(field: string, index: number): string | undefined {
    const known = this.#values.get(field);
    return known?.[index % known.length];
  }
}

/**
 * The values of a field that a good client would send, most of the time; what was handed out,
 * sometimes tampered with.
 */
export function likelyValues(known: KnownValues): (field: DescField) => fc.Arbitrary<unknown> | undefined {
  return (field) => {
    if (field.message?.typeName === "google.protobuf.Timestamp") return timestamps(field.name);
    if (field.message) return undefined;
    // The carrier that calls stays as it is, and active.
    if (field.name === "carrier_id" && field.parent.name === "Carrier") return fc.constantFrom("bolt", "fuzzed-1");
    if (field.enum) return enumValues(field.enum);
    const name = SAME_AS[field.name] ?? field.name;
    const own = LIKELY[name];
    if (field.scalar !== ScalarType.STRING) return own ?? numberOf(field);
    return own ?? ofKnown(known, name);
  };
}

// The key of a carrier's names, and the field that takes it.
const FIELD_OF = {
  carrierId: "carrier_id",
  number: "phone_number",
  releasedNumber: "phone_number",
  callNumber: "phone_number",
  customerId: "customer_id",
  customerReference: "customer_reference",
  locationId: "location_id",
  recordId: "record_id",
  callId: "call_id",
  dialogCallId: "dialog_call_id",
  correlationId: "correlation_id",
  trunkId: "trunk_id",
  codec: "codec",
  durationId: "record_id",
  quarantinedId: "record_id",
  uploadId: "upload_id",
  sealedUploadId: "upload_id",
  consumer: "consumer",
  otherConsumer: "consumer",
  provisionId: "request_id",
  releaseId: "request_id",
  discrepancyId: "discrepancy_id",
  cdrCursor: "cursor",
  filteredCdrCursor: "cursor",
  numberCursor: "cursor",
  snapshotCursor: "cursor",
  watchCursor: "cursor",
  discrepancyCursor: "cursor",
  filteredDiscrepancyCursor: "cursor",
  numbersToken: "page_token",
  cdrsToken: "page_token",
  consumersToken: "page_token",
  uploadsToken: "page_token",
  rejectsToken: "page_token",
  durationsToken: "page_token",
  discrepanciesToken: "page_token",
  summaryToken: "page_token",
} as const satisfies Partial<Record<keyof CarrierNames, string>>;

// The key of an answer in JSON, and the field of a request that takes its value.
const LEARNED: Readonly<Record<string, string>> = {
  nextPageToken: "page_token",
  cursor: "cursor",
  watchCursor: "cursor",
  holdId: "hold_id",
  erasureId: "erasure_id",
  periodId: "period_id",
  uploadId: "upload_id",
};

const SAME_AS: Readonly<Record<string, string>> = {
  phone_numbers: "phone_number",
  number_prefix: "phone_number",
  value: "phone_number",
  customer_ids: "customer_id",
  carrier_ids: "carrier_id",
  to_carrier_id: "carrier_id",
  trunk_ids: "trunk_id",
  previous_cursor: "cursor",
  carrier_record_id: "record_id",
  platform_record_id: "record_id",
  country_codes: "country_code",
  legal_country: "country_code",
};

const LIKELY: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  start_date: fc.constantFrom(DATES.startDate, DATES.startDate, DATES.startDate, "2026-02-30"),
  end_date: fc.constantFrom(DATES.endDate, DATES.endDate, DATES.endDate, "9999-12-31"),
  record_date: fc.oneof(
    fc.constantFrom(DATES.startDate, DATES.endDate, new Date().toISOString().slice(0, 10)),
    fc.constantFrom("2026-02-30", "0000-00-00", "9999-12-31", "2026-1-1"),
  ),
  country_code: fc.constantFrom("GB", "DK", "US", "ZZ"),
  time_zone: fc.constantFrom("UTC", "Europe/Copenhagen", "America/New_York", "Mars/Base"),
  region: fc.constantFrom("", "eu-1"),
  request_id: fc.uuid(),
  display_name: fc.constantFrom("A carrier", "é"),
  case_reference: fc.constantFrom("CASE-1", "DSR 2"),
  verified_by: fc.constant("the privacy desk"),
  owner: fc.constant("billing"),
  privacy_statement_version: fc.constantFrom("1", "2026-01"),
  paths: fc.constantFrom("display_name", "state", "grace_ms", "tolerances", "carrier_id", "*", "a.b.c"),
  method: fc.constantFrom("tandem.carrier.v1.CdrService/GetCdr", "tandem.platform.v1.CarrierService/CreateCarrier"),
  page_size: fc.constantFrom(0, 1, 2, 50, 1_000),
  retention_days: fc.integer({ min: 0, max: 800 }),
  final_sip_code: fc.constantFrom(200, 486, 487),
};

/**
 * An instant of the known period: a start in its first half and an end in its second, so that most
 * intervals are some; at times one at the ends of what can be said.
 */
function timestamps(fieldName: string): fc.Arbitrary<unknown> {
  const [first, last] = [Number(PERIOD.startTime.seconds), Number(PERIOD.endTime.seconds)];
  const middle = Math.floor((first + last) / 2);
  const min = fieldName.startsWith("end") ? middle : first;
  const max = fieldName.startsWith("start") ? middle : last;
  return fc.oneof(
    {
      weight: 12,
      arbitrary: fc.integer({ min, max }).map((seconds) => ({ seconds: BigInt(seconds), nanos: 0 })),
    },
    { weight: 1, arbitrary: outermostTimestamps },
  );
}

const outermostTimestamps = fc.record({
  seconds: fc.constantFrom(
    ...[0n, -1n, 253_402_300_799n, 253_402_300_800n, -62_135_596_800n, -62_135_596_801n, 2n ** 63n - 1n],
  ),
  nanos: fc.constantFrom(0, 1, 999, 1_000, 999_999_999, 1_000_000_000, -1, 2_147_483_647),
});

/** Mostly a value that means something. */
function enumValues({ values }: DescEnum): fc.Arbitrary<number> {
  const [unspecified, ...named] = values.map((value) => value.number);
  return fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...named) },
    { weight: 1, arbitrary: fc.constantFrom(unspecified ?? 0, 99) },
  );
}

function numberOf(field: DescField): fc.Arbitrary<unknown> | undefined {
  switch (field.scalar) {
    case ScalarType.DOUBLE:
      return fc.constantFrom(0, 0.01, 0.5, 1, 4.2);
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return undefined;
    default:
      return field.scalar === ScalarType.INT64 ? fc.bigInt({ min: 0n, max: 5n }) : fc.integer({ min: 0, max: 10 });
  }
}

/**
 * One of the values that exist, or text of the kind; a value that was handed out may come back
 * damaged.
 */
function ofKnown(known: KnownValues, name: string): fc.Arbitrary<string> {
  const whole = fc.nat(1_000).map((index) => known.pick(name, index) ?? `${name}-${index % 5}`);
  const damaged = fc
    .tuple(whole, fc.nat(600), fc.constantFrom("", "A", "=", "\0", "%00", "."))
    .map(([value, at, text]) => {
      const index = at % (value.length + 1);
      return value.slice(0, index) + text + value.slice(index + 1);
    });
  const crossed = fc
    .tuple(whole, whole)
    .map(([one, other]) => one.slice(0, one.length / 2) + other.slice(other.length / 2));
  const isHandedOut = name === "page_token" || name === "cursor";
  return fc.oneof(
    { weight: 16, arbitrary: whole },
    // A token is good for one list only: most calls ask for the first page.
    { weight: name === "page_token" ? 40 : 0, arbitrary: fc.constant("") },
    { weight: isHandedOut ? 4 : 1, arbitrary: damaged },
    { weight: 1, arbitrary: crossed },
    { weight: 1, arbitrary: hostileValue },
    { weight: 1, arbitrary: fc.constant("a\0") },
  );
}

/** Texts that break those who paste them into another language. */
export const hostileValue: fc.Arbitrary<string> = fc.oneof(
  hostileText,
  fc.constantFrom(
    "' OR 1=1; DROP TABLE carrier; --",
    "\\'; SELECT pg_sleep(9); --",
    "$" + "{7*7}{{7*7}}<%= 7*7 %>",
    "%s%n%x%d%p",
    "../../../../etc/passwd",
    "..\\..\\windows",
    "file:///etc/passwd",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "<script>alert(1)</script>",
    "\u202eabc\u202c\u2066\u2069",
    "\ufeff\ufffe\uffff",
    "\r\nset-cookie: a=b",
    "NaN",
    "-Infinity",
    "9".repeat(400),
    "(".repeat(200),
    "1e400",
    "+",
    "+0",
    `+${"9".repeat(15)}`,
    "00000000-0000-0000-0000-000000000000",
    "{1,2,NULL}",
    "[2026-01-01,infinity)",
    "infinity",
    "now()",
    "\u0130\u0131\u017f\ufb03",
    "x".repeat(1_024),
    "x".repeat(300_000),
  ),
);
