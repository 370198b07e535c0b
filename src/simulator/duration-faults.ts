import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type CallDuration, CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import { Direction, RecordKind } from "../gen/tandem/type/v1/call_pb.js";
import { PartyKind, PartySchema } from "../gen/tandem/type/v1/party_pb.js";
import { RecordIssue, Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import { dayOf } from "./cdr.ts";
import { strangerNumber } from "./fictitious-numbers.ts";
import type { Random } from "./random.ts";
import type { SimulatedCarrier } from "./world.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What faults are made with. */
export interface FaultTools {
  readonly carrier: SimulatedCarrier;
  readonly nowMs: number;
  readonly random: Random;
}

/** A planted record, and what must become of it. */
export interface Planting {
  /** Takes the honest record's place. */
  readonly before?: CallDuration;
  /** Comes later in the upload. */
  readonly planted: CallDuration;
  readonly verdict: Verdict;
  readonly issue?: RecordIssue;
}

/**
 * What can be planted. Some are faults; corrections, voids and warnings are the everyday that must
 * not be mistaken for one.
 */
export type DurationFault = keyof typeof makers;

type Maker = (honest: CallDuration, tools: FaultTools) => Planting;

const makers = {
  EXACT_DUPLICATE: (honest) => ({ planted: honest, verdict: Verdict.DUPLICATE }),
  CONFLICT: (honest) => ({ planted: longer(honest, 7_000), verdict: Verdict.CONFLICT }),
  CORRECTION: (honest) => ({ planted: { ...longer(honest, 2_000), revision: 2 }, verdict: Verdict.ACCEPTED }),
  /** Revision 3 came first; 2 is late. */
  LATE_REVISION: (honest) => ({
    before: { ...honest, revision: 3 },
    planted: { ...longer(honest, 1_000), revision: 2 },
    verdict: Verdict.SUPERSEDED,
  }),
  VOID: ({ recordId, recordDate }) => ({
    planted: create(CallDurationSchema, { recordId, recordDate, revision: 2, kind: RecordKind.VOID }),
    verdict: Verdict.ACCEPTED,
  }),
  MISSING_DIRECTION: (honest, tools) =>
    rejected({ ...renamed(honest, tools), direction: Direction.UNSPECIFIED }, RecordIssue.FIELD_REQUIRED),
  MISSING_CALLED: (honest, tools) => {
    const planted = renamed(honest, tools);
    delete planted.called;
    return rejected(planted, RecordIssue.FIELD_REQUIRED);
  },
  UNKNOWN_DIRECTION: (honest, tools) =>
    rejected({ ...renamed(honest, tools), direction: 99 as Direction }, RecordIssue.UNKNOWN_ENUM_VALUE),
  END_BEFORE_ANSWER: (honest, tools) => {
    const planted = renamed(honest, tools);
    planted.endTime = timestampFromMs(msOf(planted.answerTime) - 30_000);
    return rejected(planted, RecordIssue.FIELDS_INCONSISTENT);
  },
  NEGATIVE_DURATION: (honest, tools) =>
    rejected({ ...renamed(honest, tools), connectedDurationMs: -5_000n }, RecordIssue.FIELD_OUT_OF_RANGE),
  BAD_E164: (honest, tools) =>
    rejected({ ...renamed(honest, tools), calling: party("0163296abc") }, RecordIssue.FIELD_MALFORMED),
  NUL_IN_TEXT: (honest, tools) =>
    rejected(
      { ...renamed(honest, tools), calling: party("front\u0000desk", PartyKind.NON_E164) },
      RecordIssue.INVALID_TEXT,
    ),
  RECORD_DATE_MISMATCH: (honest, tools) => {
    const planted = renamed(honest, tools);
    planted.recordDate = dayOf(msOf(planted.inviteTime) - 2 * DAY_MS);
    return rejected(planted, RecordIssue.RECORD_DATE_MISMATCH);
  },
  TOO_OLD: (honest, tools) =>
    rejected(startingAt(renamed(honest, tools), tools.nowMs - 125 * DAY_MS), RecordIssue.TOO_OLD),
  TOO_FAR_AHEAD: (honest, tools) =>
    rejected(startingAt(renamed(honest, tools), tools.nowMs + 20 * HOUR_MS), RecordIssue.IN_FUTURE),
  /** A switch whose clock runs in another zone: accepted, so that it is seen. */
  CLOCK_AHEAD: (honest, tools) => ({
    planted: startingAt(renamed(honest, tools), tools.nowMs + 2 * HOUR_MS),
    verdict: Verdict.ACCEPTED,
    issue: RecordIssue.CLOCK_AHEAD,
  }),
  DURATION_DIFFERS: (honest, tools) => {
    const planted = renamed(honest, tools);
    planted.connectedDurationMs = (planted.connectedDurationMs ?? 0n) + 5_000n;
    return { planted, verdict: Verdict.ACCEPTED, issue: RecordIssue.DURATION_DIFFERS };
  },
  /** A number that this carrier never provisioned. */
  NOT_ATTRIBUTABLE: (honest, tools) => {
    const planted = renamed(honest, tools);
    planted.calling = party(strangerNumber(tools.carrier.legalCountry, tools.random.int(0, 99)));
    delete planted.asserted;
    delete planted.redirecting;
    return { planted, verdict: Verdict.QUARANTINED, issue: RecordIssue.NOT_ATTRIBUTABLE };
  },
  /**
   * A switch that was restarted with a wrong time zone sends the same call under the same id again,
   * of the day beside.
   */
  RE_DATED: (honest) => ({
    planted: startingAt(honest, msOf(honest.inviteTime) + hoursToNextDay(msOf(honest.inviteTime)) * HOUR_MS),
    verdict: Verdict.QUARANTINED,
    issue: RecordIssue.POSSIBLY_REDATED,
  }),
} satisfies Record<string, Maker>;

/** Makes a planted record of an honest one, and says what must become of it. */
export const FAULTS: Readonly<Record<DurationFault, Maker>> = makers;

// As many as a zone error makes, either way.
function hoursToNextDay(ms: number): number {
  return new Date(ms).getUTCHours() < 14 ? -14 : 10;
}

function rejected(planted: CallDuration, issue: RecordIssue): Planting {
  return { planted, verdict: Verdict.REJECTED, issue };
}

/** Under an id of its own. */
function renamed(honest: CallDuration, { random }: FaultTools): CallDuration {
  const planted = clone(CallDurationSchema, honest);
  planted.recordId = `${honest.recordId}-x${random.hex(6)}`;
  // With the same dialog it would be a second record of the same call.
  delete planted.correlation;
  return planted;
}

function longer(honest: CallDuration, byMs: number): CallDuration {
  const planted = clone(CallDurationSchema, honest);
  planted.endTime = timestampFromMs(msOf(honest.endTime) + byMs);
  planted.connectedDurationMs = (honest.connectedDurationMs ?? 0n) + BigInt(byMs);
  return planted;
}

/** Moved in time as a whole, its date too. */
function startingAt(honest: CallDuration, inviteMs: number): CallDuration {
  const planted = clone(CallDurationSchema, honest);
  const shiftMs = inviteMs - msOf(honest.inviteTime);
  planted.inviteTime = timestampFromMs(inviteMs);
  planted.answerTime = timestampFromMs(msOf(honest.answerTime) + shiftMs);
  planted.endTime = timestampFromMs(msOf(honest.endTime) + shiftMs);
  planted.recordDate = dayOf(inviteMs);
  return planted;
}

function party(value: string, kind = PartyKind.E164) {
  return create(PartySchema, { kind, value });
}

function msOf(timestamp: CallDuration["inviteTime"]): number {
  if (timestamp === undefined) throw new Error("an honest record has all its times");
  return Math.round(timestampMs(timestamp));
}
