import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import type { CountryCode } from "libphonenumber-js/max";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { ErasureState, PrivacyService, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { RecordIssue, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { dumpDatabase, erase, findNumber, untilReconciled } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, runSql, timestamp } from "../support/feed.ts";
import { numbersIn, spellingsOf, type WrittenNumber } from "../support/number-spellings.ts";

const HOUR_MS = 3_600_000;
const START_MS = Date.now() - 5 * HOUR_MS;
const TESTED: readonly CountryCode[] = [
  "AR",
  "AU",
  "BR",
  "CI",
  "DE",
  "DK",
  "FR",
  "GA",
  "GB",
  "HU",
  "IN",
  "IT",
  "JP",
  "KZ",
  "MX",
  "PL",
  "RU",
  "SM",
  "US",
  "ZA",
];

interface Sample {
  readonly country: CountryCode;
  /** The carrier's own. */
  readonly own: string;
  readonly ownSpellings: readonly WrittenNumber[];
  /** Somebody's. */
  readonly person: string;
  readonly national: string;
  readonly spellings: readonly WrittenNumber[];
}

const SAMPLES: readonly Sample[] = TESTED.map((country) => {
  const [own, person] = numbersIn(country, 2);
  if (!own || !person) throw new Error(`too few numbers of ${country}`);
  return {
    country,
    own: own.number,
    ownSpellings: spellingsOf(own),
    person: person.number,
    national: person.nationalNumber.replace(/^0/, ""),
    spellings: spellingsOf(person),
  };
});

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100, heartbeatIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC" });
  await exchange.addCarrier("bell", { graceMs: 0n, timeZone: "UTC" });
  await exchange.assignNumbers("bell", ["+441632960001"]);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });
const written = ({ value, countryCode }: WrittenNumber) => ({
  kind: PartyKind.NON_E164,
  value,
  ...(countryCode === undefined ? {} : { countryCode }),
});

function duration(recordId: string, minute: number, parties: object): CallDuration {
  const inviteMs = START_MS + minute * 60_000;
  return create(CallDurationSchema, {
    recordId,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    direction: 1,
    answered: true,
    inviteTime: timestamp(inviteMs),
    answerTime: timestamp(inviteMs + 5_000),
    connectedDurationMs: 60_000n,
    ...parties,
  } as never) as CallDuration;
}

describe("the carrier's own number is its own in every spelling", () => {
  const spellings: readonly [string, WrittenNumber][] = [
    ["national, with its country", { value: "01632960001", countryCode: "GB" }],
    ["with 00", { value: "00441632960001" }],
    ["without a plus", { value: "441632960001" }],
    ["with a bracketed trunk zero", { value: "+44(0)1632960001" }],
    ["in a sip: URI", { value: "sip:+441632960001@sbc.example.com" }],
    ["in a tel: URI", { value: "tel:+44-1632-960001" }],
    ["with 011", { value: "011441632960001" }],
  ];
  test.each(spellings)("%s", async (name, spelled) => {
    const client = await exchange.carrierClient(DurationService, "bell");
    const id = name.replaceAll(/\W/g, "");
    const { counts, outcomes } = await client.appendDurations({
      uploadId: `own-${id}`,
      records: [
        duration(`out-${id}`, 0, { calling: written(spelled), called: e164("+12025550123") }),
        duration(`in-${id}`, 0, { direction: 2, calling: e164("+12025550123"), called: written(spelled) }),
      ],
    });
    expect(outcomes).toEqual([]);
    expect(counts?.accepted).toBe(2n);
    const stored = await runSql(
      exchange,
      sql`SELECT phone_number FROM duration_record WHERE record_id IN (${`out-${id}`}, ${`in-${id}`})`,
    );
    expect(stored).toEqual([{ phone_number: "+441632960001" }, { phone_number: "+441632960001" }]);
  });

  test("what is kept aside all the same says as what the number was read, or that nothing could be read", async () => {
    const client = await exchange.carrierClient(DurationService, "bell");
    const { outcomes } = await client.appendDurations({
      uploadId: "aside",
      records: [
        duration("other", 0, {
          calling: written({ value: "01632 960777", countryCode: "GB" }),
          called: e164("+1202555"),
        }),
        duration("unread", 0, { calling: written({ value: "01632 960001" }), called: e164("+12025550123") }),
      ],
    });
    expect(outcomes.map(({ verdict, issue }) => [verdict, issue])).toEqual([
      [Verdict.QUARANTINED, RecordIssue.NOT_ATTRIBUTABLE],
      [Verdict.QUARANTINED, RecordIssue.NOT_ATTRIBUTABLE],
    ]);
    expect(outcomes[0]?.message).toContain("calling is read as +441632960***");
    expect(outcomes[1]?.message).toContain("country_code with a national number");
  });
});

test("in twenty countries every spelling is attributed, paired, exported and erased as the number it means (case 10)", async () => {
  await exchange.assignNumbers(
    "alpha",
    SAMPLES.map(({ own }) => own),
  );
  const calls = SAMPLES.flatMap(({ own, ownSpellings, person, spellings }, at) =>
    spellings.map((spelled, index) => ({
      id: `${at}-${index}`,
      minute: index * 5,
      own,
      person,
      spelled,
      ownSpelled: ownSpellings[index] ?? { value: own },
    })),
  );
  await ingest(
    exchange,
    "alpha",
    calls.map(({ id, minute, own, person, spelled }) =>
      call(
        `c-${id}`,
        {
          parties: { calling: e164(own), called: e164(person) },
          outcome: { finalSipCode: 200, reasonPhrase: `to <${spelled.value}>`, closeReason: spelled.value },
        } as never,
        START_MS + minute * 60_000,
      ),
    ),
  );
  const client = await exchange.carrierClient(DurationService, "alpha");
  const { counts, outcomes } = await client.appendDurations({
    uploadId: "all",
    records: calls.map(({ id, minute, spelled, ownSpelled }) =>
      duration(`d-${id}`, minute, {
        calling: written(ownSpelled),
        called: written(spelled),
        customerReference: spelled.value,
      }),
    ),
  });
  expect(outcomes).toEqual([]);
  expect(counts?.accepted).toBe(BigInt(calls.length));
  await untilReconciled(exchange, "alpha", calls.length);
  const results = await runSql<{ record_id: string }>(
    exchange,
    sql`SELECT record_id, status, side FROM call_result WHERE carrier_id = 'alpha' AND status <> 1`,
  );
  const told = results.map((result) => ({
    ...result,
    ...calls.find(({ id }) => result.record_id === `c-${id}` || result.record_id === `d-${id}`),
  }));
  expect(told).toEqual([]);

  const privacy = await exchange.platformClient(PrivacyService);
  const durations = await exchange.carrierClient(DurationService, "alpha");
  for (const { person, spellings, country } of SAMPLES) {
    const items: string[] = [];
    const asked = { phoneNumber: person, role: SubjectRole.OTHER_PARTY, caseReference: "case 2", verifiedBy: "desk" };
    const period = { startTime: timestampFromMs(START_MS - HOUR_MS), endTime: timestampFromMs(Date.now()) };
    for await (const { frame } of privacy.exportPhoneNumber({ ...asked, ...period }))
      if (frame.case === "batch") for (const { item } of frame.value.items) items.push(item.case ?? "");
    const count = (kind: string) => items.filter((each) => each === kind).length;
    expect([country, count("callDetailRecord"), count("callDuration")]).toEqual([
      country,
      spellings.length,
      spellings.length,
    ]);
  }
  // One after the other: many at once may take longer than one is waited for.
  for (const { person } of SAMPLES) {
    const erasure = await erase(exchange, person, { role: SubjectRole.OTHER_PARTY });
    expect(erasure.state).toBe(ErasureState.COMPLETED);
  }
  const listed = await durations.listDurations({
    startTime: timestamp(START_MS - HOUR_MS),
    endTime: timestamp(Date.now()),
    pageSize: 1_000,
  });
  expect(listed.durations.length).toBe(calls.length);
  expect(listed.durations.filter(({ called }) => called?.kind !== PartyKind.ERASED)).toEqual([]);
  const dump = await dumpDatabase(exchange.databaseUrl);
  expect(SAMPLES.flatMap(({ national }) => findNumber(dump, national))).toEqual([]);
});
