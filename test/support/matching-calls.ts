import fc from "fast-check";
import type { Party } from "../../src/domain/calls/party.ts";
import type { CarrierFacts, MatchingInput, PlatformFacts } from "../../src/domain/matching/facts.ts";
import type { CallResult } from "../../src/domain/matching/result.ts";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";

/** 10:00 on an ordinary Monday. */
export const TEN = Date.UTC(2026, 5, 1, 10);
export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

export const ALICE = e164("+4532000001");
export const BOB = e164("+4633000002");
export const CAROL = e164("+4933000003");

export function e164(value: string): Party {
  return { kind: PartyKind.E164, value, presentation: 1 };
}

export function dialled(value: string, countryCode?: string): Party {
  return { kind: PartyKind.NON_E164, value, presentation: 0, ...(countryCode === undefined ? {} : { countryCode }) };
}

export const RESTRICTED: Party = { kind: PartyKind.RESTRICTED, presentation: 2 };

/**
 * A call as both sides would record it: when the invite was, how long it rang and how long it was
 * connected; null: unanswered.
 */
export interface Call {
  readonly startMs?: number;
  readonly ringMs?: number;
  readonly connectedMs?: number | null;
}

/**
 * The platform's record of an outbound call from Alice to Bob, 100 s long at ten o'clock, unless
 * told otherwise.
 */
export function platformCall(recordId: string, call: Call = {}, facts: Partial<PlatformFacts> = {}): PlatformFacts {
  const times = timesOf(call);
  return {
    ...partiesAndState(recordId, times.startMs),
    ...times.facts,
    isPartial: false,
    isEmergency: false,
    ringingMs: times.startMs + SECOND_MS,
    totalMs: times.endMs - times.startMs,
    ingestMs: times.endMs + 5 * SECOND_MS,
    ...facts,
  };
}

/** The carrier's record of the same call. */
export function carrierCall(recordId: string, call: Call = {}, facts: Partial<CarrierFacts> = {}): CarrierFacts {
  const times = timesOf(call);
  return {
    ...partiesAndState(recordId, times.startMs),
    ...times.facts,
    resolutionMs: 1,
    ingestMs: times.endMs + 10 * MINUTE_MS,
    ...facts,
  };
}

/**
 * What matching depends on, with the defaults of an agreement: outbound answered calls, 2 s, 24 h;
 * long after every grace.
 */
export function matchingInput(
  platform: readonly PlatformFacts[],
  carrier: readonly CarrierFacts[],
  others: Partial<MatchingInput> = {},
): MatchingInput {
  return {
    platform,
    carrier,
    agreement: AGREEMENT,
    offsetOf: () => undefined,
    roundingOf: () => undefined,
    nowMs: TEN + 90 * DAY_MS,
    ...others,
  };
}

export const AGREEMENT: MatchingInput["agreement"] = {
  toleranceMs: 2_000,
  graceMs: DAY_MS,
  scopeAt: () => ({ directions: [1], unanswered: false, emergency: false }),
};

/**
 * `platform/carrier+carrier` of each result, or the one side that there is, with what is asked for.
 */
export function tellResults<T>(results: readonly CallResult[], of: (result: CallResult) => T): Record<string, T> {
  return Object.fromEntries(results.map((result) => [nameOf(result), of(result)]));
}

export function nameOf({ platform, carrier }: CallResult): string {
  const records = carrier.map(({ recordId }) => recordId).join("+");
  if (platform === undefined) return records;
  return records === "" ? platform.recordId : `${platform.recordId}/${records}`;
}

/** Everything that a result says, comparable, in an order that does not depend on the results'. */
export function canonical(results: readonly CallResult[]): unknown[] {
  return results.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)).map((result) => ({ ...result }));
}

/**
 * Records of a few parties within some minutes, so that much of what can happen between records
 * does.
 */
export const crowdedRecords: fc.Arbitrary<{ platform: PlatformFacts[]; carrier: CarrierFacts[] }> = fc
  .record({
    platform: fc.array(fc.tuple(anyCall(), anyShape(), fc.boolean()), { maxLength: 14 }),
    carrier: fc.array(fc.tuple(anyCall(), anyShape(), fc.option(fc.nat(14))), { maxLength: 14 }),
  })
  .map(({ platform, carrier }) => ({
    platform: platform.map(([call, shape, isPartial], index) =>
      platformCall(`p${index}`, call, { ...shape, isPartial: isPartial && index % 5 === 0 }),
    ),
    carrier: carrier.map(([call, shape, echo], index) =>
      carrierCall(`c${index}`, call, {
        ...shape,
        ...(echo === null ? {} : { echoedRecordId: `p${echo}` }),
        ...(index % 6 === 5 ? { part: { index: 1 + (index % 3) } } : {}),
      }),
    ),
  }));

function anyCall(): fc.Arbitrary<Call> {
  return fc.record({
    startMs: fc.integer({ min: 0, max: 900 }).map((seconds) => TEN + seconds * SECOND_MS),
    ringMs: fc.constantFrom(2_000, 20_000),
    connectedMs: fc.constantFrom(null, 0, 15_000, 30_000, 31_000, 100_000, 10_800_000),
  });
}

function anyShape() {
  return fc
    .record({
      calling: fc.constantFrom(ALICE, RESTRICTED, CAROL),
      called: fc.constantFrom(BOB, dialled("0733000002", "SE"), CAROL),
      direction: fc.constantFrom(1, 1, 1, 2),
      isVoid: fc.constantFrom(false, false, false, true),
      dialog: fc.option(fc.nat(8)),
      icid: fc.option(fc.nat(8)),
    })
    .map(({ dialog, icid, ...shape }) => ({
      ...shape,
      ids: {
        ...(dialog === null ? {} : { dialogCallId: `d${dialog}` }),
        ...(icid === null ? {} : { icid: `i${icid}` }),
      },
    }));
}

function timesOf({ startMs = TEN, ringMs = 5_000, connectedMs = 100_000 }: Call) {
  const answerMs = startMs + ringMs;
  const endMs = answerMs + (connectedMs ?? 0);
  const answer = connectedMs === null ? { answered: false } : { answered: true, answerMs, connectedMs };
  return { startMs, endMs, facts: { inviteMs: startMs, endMs, ...answer } };
}

function partiesAndState(recordId: string, startMs: number) {
  return {
    recordId,
    recordDate: new Date(startMs).toISOString().slice(0, 10),
    revision: 1,
    isVoid: false,
    direction: 1,
    ids: {},
    calling: ALICE,
    called: BOB,
    trunkId: "trunk-1",
  };
}
