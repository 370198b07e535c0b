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

/** What can be planted: faults, and everyday corrections, voids and warnings. */
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
  MISSING_DIRECTION: rejected(RecordIssue.FIELD_REQUIRED, () => ({ direction: Direction.UNSPECIFIED })),
  MISSING_CALLED: rejected(RecordIssue.FIELD_REQUIRED, () => ({ called: undefined })),
  UNKNOWN_DIRECTION: rejected(RecordIssue.UNKNOWN_ENUM_VALUE, () => ({ direction: 99 as Direction })),
  END_BEFORE_ANSWER: rejected(RecordIssue.FIELDS_INCONSISTENT, ({ answerTime }) => ({
    endTime: timestampFromMs(msOf(answerTime) - 30_000),
  })),
  NEGATIVE_DURATION: rejected(RecordIssue.FIELD_OUT_OF_RANGE, () => ({ connectedDurationMs: -5_000n })),
  BAD_E164: rejected(RecordIssue.FIELD_MALFORMED, () => ({ calling: party("0163296abc") })),
  NUL_IN_TEXT: rejected(RecordIssue.INVALID_TEXT, () => ({ calling: party("front\u0000desk", PartyKind.NON_E164) })),
  RECORD_DATE_MISMATCH: rejected(RecordIssue.RECORD_DATE_MISMATCH, ({ inviteTime }) => ({
    recordDate: dayOf(msOf(inviteTime) - 2 * DAY_MS),
  })),
  TOO_OLD: rejected(RecordIssue.TOO_OLD, (honest, { nowMs }) => startingAt(honest, nowMs - 125 * DAY_MS)),
  TOO_FAR_AHEAD: rejected(RecordIssue.IN_FUTURE, (honest, { nowMs }) => startingAt(honest, nowMs + 20 * HOUR_MS)),
  /** A switch whose clock runs in another zone: accepted, so that it is seen. */
  CLOCK_AHEAD: changed(Verdict.ACCEPTED, RecordIssue.CLOCK_AHEAD, (honest, { nowMs }) =>
    startingAt(honest, nowMs + 2 * HOUR_MS),
  ),
  DURATION_DIFFERS: changed(Verdict.ACCEPTED, RecordIssue.DURATION_DIFFERS, ({ connectedDurationMs = 0n }) => ({
    connectedDurationMs: connectedDurationMs + 5_000n,
  })),
  /** A number that this carrier never provisioned. */
  NOT_ATTRIBUTABLE: changed(Verdict.QUARANTINED, RecordIssue.NOT_ATTRIBUTABLE, (_, { carrier, random }) => ({
    calling: party(strangerNumber(carrier.legalCountry, random.int(0, 99))),
    asserted: undefined,
    redirecting: undefined,
  })),
  /** A switch with a wrong time zone sends the call again under the same id, a day beside. */
  RE_DATED: (honest) => ({
    planted: {
      ...honest,
      ...startingAt(honest, msOf(honest.inviteTime) + hoursToNextDay(msOf(honest.inviteTime)) * HOUR_MS),
    },
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

/** What a planted record has otherwise; undefined: it lacks it. */
type Changes = { readonly [Field in keyof CallDuration]?: CallDuration[Field] | undefined };
type Change = (honest: CallDuration, tools: FaultTools) => Changes;

function rejected(issue: RecordIssue, change: Change): Maker {
  return changed(Verdict.REJECTED, issue, change);
}

/** Changes a record that has an id of its own. */
function changed(verdict: Verdict, issue: RecordIssue, change: Change): Maker {
  return (honest, tools) => {
    const planted = clone(CallDurationSchema, honest);
    planted.recordId = `${honest.recordId}-x${tools.random.hex(6)}`;
    // With the same dialog it would be a second record of the same call.
    delete planted.correlation;
    return { planted: Object.assign(planted, change(honest, tools)), verdict, issue };
  };
}

function longer(honest: CallDuration, byMs: number): CallDuration {
  const planted = clone(CallDurationSchema, honest);
  planted.endTime = timestampFromMs(msOf(honest.endTime) + byMs);
  planted.connectedDurationMs = (honest.connectedDurationMs ?? 0n) + BigInt(byMs);
  return planted;
}

/** Moved in time as a whole, its date too. */
function startingAt({ inviteTime, answerTime, endTime }: CallDuration, inviteMs: number) {
  const shiftMs = inviteMs - msOf(inviteTime);
  return {
    inviteTime: timestampFromMs(inviteMs),
    answerTime: timestampFromMs(msOf(answerTime) + shiftMs),
    endTime: timestampFromMs(msOf(endTime) + shiftMs),
    recordDate: dayOf(inviteMs),
  };
}

function party(value: string, kind = PartyKind.E164) {
  return create(PartySchema, { kind, value });
}

function msOf(timestamp: CallDuration["inviteTime"]): number {
  if (timestamp === undefined) throw new Error("an honest record has all its times");
  return Math.round(timestampMs(timestamp));
}
