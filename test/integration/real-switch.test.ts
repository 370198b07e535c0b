import { randomUUID } from "node:crypto";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FormatSettings } from "../../src/cli/durations/formats/format.ts";
import { ingestCdrs } from "../../src/client/ingest-cdrs.ts";
import { uploadDurations } from "../../src/client/upload-durations.ts";
import { arraySource } from "../../src/client/upload-source.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordIssue, type RecordOutcome, Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { REAL_DAY, readFixture, realCdrs, realDurations } from "../support/real-switch.ts";
import { storedResults } from "../support/stored-results.ts";
import { cdr, e164, judgedResults } from "../support/trouble.ts";

// Calls that real programs made (test/fixtures/real-switch/README.md), in by every door, and what
// became of them.

/** The three numbers that called. */
const CALLERS = ["+441632960001", "+441632960002", "+441632960003"];

/**
 * Both ways to upload durations, over gRPC and in JSON; the platform's records come in over the
 * same.
 */
const DOORS = [
  { door: "UploadDurations in binary", isUnary: false, isJson: false },
  { door: "AppendDurations in binary", isUnary: true, isJson: false },
  { door: "UploadDurations in JSON", isUnary: false, isJson: true },
  { door: "AppendDurations in JSON", isUnary: true, isJson: true },
];

let exchange: Exchange;
let carriers = 0;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

type Door = (typeof DOORS)[number];

interface Calls {
  readonly platform: readonly CallDetailRecord[];
  readonly carrier: readonly CallDuration[];
}

/**
 * Sends the calls through a door to a carrier of their own, and tells what each came to, and which
 * durations were not plainly accepted.
 */
async function judge(calls: Calls, { isUnary, isJson }: Door, unanswered: boolean) {
  const carrierId = `real-${++carriers}`;
  await exchange.addCarrier(carrierId, {
    graceMs: 0n,
    timeZone: "UTC",
    reportingScopes: [{ directions: [1], unanswered, emergency: false }],
  });
  await exchange.assignNumbers(carrierId, CALLERS);
  const platform = await clientOf(CdrService, await exchange.platformToken(), isJson);
  const carrier = await clientOf(DurationService, await exchange.carrierToken(carrierId), isJson);
  const uploadId = randomUUID();
  const { outcomes } = await ingestCdrs(platform, { carrierId, uploadId, source: arraySource(calls.platform) });
  expect(outcomes).toEqual([]);
  const sent: { outcomes: readonly RecordOutcome[] } = isUnary
    ? await carrier.appendDurations({ uploadId, records: [...calls.carrier] })
    : await uploadDurations(carrier, { uploadId, source: arraySource(calls.carrier) });
  return { carrierId, results: await storedResults(exchange, carrierId), outcomes: sent.outcomes };
}

async function clientOf<S extends DescService>(service: S, token: string, isJson: boolean): Promise<Client<S>> {
  const bearer: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const options = { baseUrl: exchange.url, httpVersion: "2" as const, interceptors: [bearer] };
  return createClient(service, createConnectTransport({ ...options, useBinaryFormat: !isJson }));
}

/** The number that was called, by its last two digits. */
const called = (digits: string) => e164(`+4416329601${digits}`);

/**
 * Those calls of which the carrier's accounting is in radius-cases-carrier.csv: when each began and
 * how long it lasted, in truth.
 */
const RADIUS_CASES: [id: string, startS: number, talkS: number | null, digits: string][] = [
  ["plain", 0, 61, "01"],
  ["delayed", 36_664, 61, "02"],
  ["stop-only", 0, 90, "03"],
  ["stop-first", 0, 30, "04"],
  ["no-length", 0, 61, "05"],
  ["late-interim", 0, 600, "06"],
  ["copied-stop", 36_789, 0.5, "07"],
  ["first-of-its-id", 0, 300, "08"],
  ["second-of-its-id", 6_400, 10, "09"],
  ["failed", 0, null, "10"],
  ["interim-only", 0, 3_605, "11"],
  ["text-utc", 0, 42, "12"],
  ["cisco", 0.456, 4.6, "13"],
];

function radiusCases(): CallDetailRecord[] {
  const noon = Date.parse(`${REAL_DAY}T12:00:00Z`);
  const instant = (seconds: number) => new Date(noon + seconds * 1_000).toISOString();
  return RADIUS_CASES.map(([id, start, talk, digits]) => {
    const answered = talk === null ? {} : { answerTime: instant(start) };
    const times = { inviteTime: instant(start - 3), ...answered, endTime: instant(start + (talk ?? 0)) };
    return cdr({ id, talk, to: called(digits), more: { recordDate: REAL_DAY, times } });
  });
}

interface RealCalls extends Calls {
  readonly expected: readonly string[];
  readonly refused?: readonly string[];
  /** Whether the carrier reports calls that nobody answered. */
  readonly unanswered: boolean;
}

/** Each call by the right judgement, which is known: the platform's measurement is the truth. */
const SETS: Record<string, () => Promise<RealCalls>> = {
  "Kamailio's own durations, which have the ringing in them": async () => ({
    ...(await fixture("kamailio-a", "kamailio-a-acc_cdrs.csv", { recordPrefix: "sw-" })),
    unanswered: true,
    expected: [
      "101/sw-5 DURATION_MISMATCH RING_TIME_INCLUDED",
      "102/sw-1 MATCHED_UNANSWERED",
      "103/sw-2 MATCHED_UNANSWERED",
      "104/sw-8 MATCHED_UNANSWERED",
      "105/sw-9 DURATION_MISMATCH RING_TIME_INCLUDED",
      // Nobody knows when it ended: neither side has a BYE, and the switch wrote nothing.
      "106/ PENDING",
      "107/sw-10 DURATION_MISMATCH RING_TIME_INCLUDED",
      "108/sw-11 DURATION_MISMATCH RING_TIME_INCLUDED",
      // These rang for less than the tolerance.
      "109/sw-6 WITHIN_TOLERANCE",
      "110/sw-12 DURATION_MISMATCH RING_TIME_INCLUDED",
      "111/sw-7 WITHIN_TOLERANCE",
      "112/sw-4 DURATION_MISMATCH RING_TIME_INCLUDED",
      "113/sw-3 MATCHED_UNANSWERED",
    ],
  }),
  "Kamailio's durations from the answer on": async () => ({
    ...(await fixture("kamailio-b", "kamailio-b-acc_cdrs.csv", { recordPrefix: "sw-", start: "answer" })),
    unanswered: true,
    expected: [
      "101/sw-5 WITHIN_TOLERANCE",
      "102/sw-1 MATCHED_UNANSWERED",
      "103/sw-2 MATCHED_UNANSWERED",
      // The switch's database was locked: its record is lost.
      "104/ MISSING_AT_CARRIER",
      "105/sw-8 WITHIN_TOLERANCE",
      "106/sw-12 PENDING",
      "107/sw-9 WITHIN_TOLERANCE",
      "108/sw-10 WITHIN_TOLERANCE",
      "109/sw-6 WITHIN_TOLERANCE",
      "110/sw-11 WITHIN_TOLERANCE",
      "111/sw-7 WITHIN_TOLERANCE",
      "112/sw-4 WITHIN_TOLERANCE",
      "113/sw-3 MATCHED_UNANSWERED",
    ],
  }),
  "a call that was re-routed, of which the carrier has the answered leg": async () => ({
    ...(await fixture("rerouted", "rerouted-carrier.csv")),
    unanswered: false,
    expected: ["leg-0/ NOT_REPORTED", "leg-1/sbc2-17 WITHIN_TOLERANCE"],
  }),
  "RADIUS accounting of 26 calls": async () => {
    const calls = await fixture("radius", "radius-radacct.csv");
    return { ...calls, unanswered: false, expected: radiusResults(calls) };
  },
  "trouble of RADIUS accounting": async () => ({
    platform: radiusCases(),
    carrier: await namedBySession("radius-cases-radacct.csv"),
    unanswered: false,
    expected: [
      // Its parties are of the one call, and its times of the other: it is neither.
      "/0000002A MISSING_AT_PLATFORM",
      "cisco/cisco WITHIN_TOLERANCE",
      "copied-stop/copied-stop DURATION_MISMATCH UNKNOWN",
      "delayed/delayed MATCHED_EXACT",
      "failed/ NOT_REPORTED",
      "first-of-its-id/ MISSING_AT_CARRIER",
      // Ten hours, when the gateway started anew: their releases were lost.
      "interim-only/interim-only DURATION_MISMATCH STUCK_CALL",
      "late-interim/late-interim MATCHED_EXACT",
      "no-length/no-length MATCHED_EXACT",
      "plain/plain MATCHED_EXACT",
      "second-of-its-id/ MISSING_AT_CARRIER",
      "stop-first/stop-first WITHIN_TOLERANCE",
      "stop-only/stop-only MATCHED_EXACT",
      "text-utc/text-utc DURATION_MISMATCH STUCK_CALL",
    ],
  }),
  "the packets of the same calls, which know what the table has lost": async () => ({
    platform: radiusCases(),
    carrier: await namedBySession("radius-cases-detail.txt"),
    unanswered: true,
    expected: [
      "cisco/cisco WITHIN_TOLERANCE",
      // A Stop in the same second, and its copy is no other.
      "copied-stop/copied-stop WITHIN_TOLERANCE",
      "delayed/delayed MATCHED_EXACT",
      "failed/failed MATCHED_UNANSWERED",
      "first-of-its-id/0000002A MATCHED_EXACT",
      // When they ended nobody has told.
      "interim-only/interim-only DURATION_MISMATCH UNKNOWN",
      "late-interim/late-interim MATCHED_EXACT",
      "no-length/no-length MATCHED_EXACT",
      "plain/plain MATCHED_EXACT",
      "second-of-its-id/0000002A-again MATCHED_EXACT",
      "stop-first/stop-first MATCHED_EXACT",
      "stop-only/stop-only MATCHED_EXACT",
      "text-utc/text-utc DURATION_MISMATCH UNKNOWN",
    ],
  }),
  "RADIUS packets of 26 calls, the failed ones too": async () => {
    const calls = await fixture("radius", "radius-detail.txt");
    return { ...calls, unanswered: true, expected: radiusResults(calls) };
  },
  "Kamailio's transactions": async () => {
    const missed = await realDurations("kamailio-a-missed_calls.csv");
    const calls = await fixture("kamailio-a", "kamailio-a-acc.csv");
    // A call that was re-routed has a missed one too, which the switch counts as an attempt.
    const carrier = [...calls.carrier, ...missed.filter(({ called }) => !called?.value?.endsWith("105"))];
    return { ...calls, carrier, unanswered: true, expected: transactionResults({ ...calls, carrier }) };
  },
  "Kamailio's CDRs in its log": async () => {
    const calls = await fixture("kamailio-b", "kamailio-b-syslog.txt", { start: "answer" });
    return { ...calls, unanswered: true, expected: transactionResults(calls) };
  },
  "whole seconds of a softphone": async () => {
    const calls = await fixture("softphone", "softphone-carrier.csv");
    const names = calls.platform.map(({ recordId }) => recordId.replace("bs-", ""));
    const expected = names.map((name) => `bs-${name}/phone-${name} WITHIN_TOLERANCE`);
    return { ...calls, unanswered: false, expected };
  },
};

/**
 * By the dialog each answered call has a record; of 106, which has no BYE, the length is not known.
 * Failed calls are in the packets, and in no row of the table.
 */
function radiusResults({ platform, carrier }: Calls): string[] {
  return platform.map(({ recordId, correlation, outcome, parties }) => {
    const callId = correlation?.interconnectDialog?.callId;
    const record = carrier.find((each) => each.correlation?.interconnectDialog?.callId === callId);
    const pair = `${recordId}/${record?.recordId ?? ""}`;
    if (outcome?.finalSipCode !== 200) return `${pair} ${record ? "MATCHED_UNANSWERED" : "NOT_REPORTED"}`;
    const isUnmeasured = parties?.called?.value?.endsWith("106");
    return `${pair} ${isUnmeasured ? "DURATION_MISMATCH UNKNOWN" : "WITHIN_TOLERANCE"}`;
  });
}

/** The platform has no end of 106, and waits. */
function transactionResults({ platform, carrier }: Calls): string[] {
  return platform.map(({ recordId, correlation, outcome, parties }) => {
    const callId = correlation?.interconnectDialog?.callId;
    const record = carrier.find((each) => each.correlation?.interconnectDialog?.callId === callId);
    const pair = `${recordId}/${record?.recordId ?? ""}`;
    if (parties?.called?.value?.endsWith("106")) return `${pair} PENDING`;
    return `${pair} ${outcome?.finalSipCode === 200 ? "WITHIN_TOLERANCE" : "MATCHED_UNANSWERED"}`;
  });
}

/** The records of the cases by the name of the case, which is their session id. */
async function namedBySession(name: string): Promise<CallDuration[]> {
  const sessions = new Map(
    (await readFixture("radius-cases-radacct.csv")).split("\n").map((row) => {
      const [session = "", unique = ""] = row.split(",");
      return [unique, session];
    }),
  );
  sessions.set("247d2b271abef4c0ab5a7e0a9ca69392", "failed");
  const records = await realDurations(name);
  for (const record of records) {
    const [unique = "", start] = record.recordId.split("-");
    const session = sessions.get(unique) ?? unique;
    const isSecond = start !== undefined && record.called?.value?.endsWith("109");
    record.recordId = isSecond ? `${session}-again` : session;
  }
  return records;
}

describe.each(DOORS)("by $door", (door) => {
  test.each(Object.entries(SETS))("%s", async (_, read) => {
    const { expected, refused = [], unanswered, ...calls } = await read();
    const { results, outcomes } = await judge(calls, door, unanswered);
    expect(results).toEqual(expected.toSorted());
    expect(outcomes.map(({ recordId, verdict, issue }) => [recordId, verdict, issue])).toEqual(
      refused.map((recordId) => [recordId, Verdict.QUARANTINED, RecordIssue.NOT_ATTRIBUTABLE]),
    );
  });
});

test("what is stored of real calls is what a user is told of each", async () => {
  const calls = await fixture("kamailio-b", "kamailio-b-acc_cdrs.csv", { recordPrefix: "sw-", start: "answer" });
  const { carrierId, results } = await judge(calls, DOORS[0] as Door, true);
  expect(await judgedResults(exchange, carrierId, calls)).toEqual(results);
});

async function fixture(name: string, file: string, settings: Partial<FormatSettings> = {}): Promise<Calls> {
  return { platform: await realCdrs(name), carrier: await realDurations(file, settings) };
}
