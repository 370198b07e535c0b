import { maskedValue, type Party, PartyKind } from "../party.ts";
import { type CarrierUnit, type PlatformUnit, startDelta } from "./call-unit.ts";
import { MIN_SHARE } from "./clock-judgement.ts";
import { MAX_COMPONENT } from "./components.ts";
import { idsOf, shareId } from "./correlation.ts";
import { COPY_WINDOW_MS } from "./duplicates.ts";
import {
  EvidenceOutcome,
  EvidenceStage,
  type EvidenceStep,
  type EvidenceValue,
  type ExplainedCall,
  evidenceValue,
  tellCount,
  tellLength,
  tellList,
  tellTime,
} from "./evidence.ts";
import type { CarrierFacts, CommonFacts, CorrelationIds } from "./facts.ts";
import { areContradicting, areSameParties, isContradicting, isEqual } from "./number-keys.ts";
import { MatchedBy, MatchStatus } from "./result.ts";
import { isCarrierInScope, isPlatformInScope } from "./scope.ts";
import { isSameDialog } from "./signalling-ids.ts";
import { WINDOW_MS, windowOf } from "./time-window.ts";

const { PASSED, FAILED, NOT_COMPARABLE } = EvidenceOutcome;

/** Which revision of each record counts, and whether it is void or partial. */
export function explainState({ platform, carrier }: ExplainedCall): EvidenceStep {
  const records = [
    ...(platform ? [`the platform's record ${tellRecord(platform.facts)}`] : []),
    ...(carrier
      ? [`the carrier's ${carrier.records.length === 1 ? "record" : "records"} ${tellRecords(carrier)}`]
      : []),
  ];
  const isVoid = (platform ?? carrier)?.facts.isVoid === true;
  const isPartial = platform?.facts.isPartial === true;
  const state = [
    ...(isVoid ? [" Voided: it was taken back, and counts nowhere."] : []),
    ...(isPartial ? [" The platform's record is partial: the call is not over, or its end is not yet known."] : []),
    ...(platform ? [] : [" The platform has no record of this call."]),
    ...(carrier ? [] : [" The carrier has no record of this call."]),
  ];
  return {
    stage: EvidenceStage.RECORD_STATE,
    outcome: isVoid || isPartial ? FAILED : PASSED,
    explanation: `What counts is ${tellList(records)}.${state.join("")}`,
    values: [
      evidenceValue("revision", PASSED, [
        platform && String(platform.facts.revision),
        carrier?.records.map((record) => record.revision).join(", "),
      ]),
    ],
  };
}

/** Whether the carrier has to report the call. */
export function explainScope({ platform, carrier, input, result }: ExplainedCall): EvidenceStep | undefined {
  if (result.status === MatchStatus.VOIDED) return undefined;
  const { agreement } = input;
  const isInScope =
    platform === undefined
      ? carrier !== undefined && isCarrierInScope(carrier, agreement)
      : isPlatformInScope(platform, agreement);
  const scope = agreement.scopeAt(result.startMs);
  const isPair = platform !== undefined && carrier !== undefined;
  const answered = (platform ?? carrier)?.answered === true;
  const call = `${tellDirection(result.direction)} and ${answered ? "answered" : "unanswered"}`;
  const limit = scope && scope.directions.map(tellDirection).join(", ") + (scope.unanswered ? "" : ", answered only");
  const outside = isPair ? "it was compared because the carrier reported it all the same" : "so nothing is missing";
  return {
    stage: EvidenceStage.REPORTING_SCOPE,
    outcome: isInScope ? PASSED : FAILED,
    explanation: isInScope
      ? `The call is ${call}, which the carrier has agreed to report.`
      : `The call is ${call}, which the carrier does not have to report: ${outside}.`,
    values: [
      evidenceValue("reporting_scope", isInScope ? PASSED : FAILED, [
        platform && call,
        platform ? undefined : call,
        limit,
      ]),
    ],
  };
}

/** The offset that was taken off the carrier's times. */
export function explainClock({ carrier }: ExplainedCall): EvidenceStep | undefined {
  if (carrier === undefined || carrier.facts.isVoid) return undefined;
  const { offset, facts } = carrier;
  const trunk = facts.trunkId === undefined ? "without a trunk" : `on trunk ${facts.trunkId}`;
  const stage = EvidenceStage.CLOCK_OFFSET;
  if (offset === undefined || offset.pairCount === 0) {
    const explanation = `Too few calls ${trunk} around this hour to tell whether the carrier's clock is right; its times were taken as they are.`;
    return { stage, outcome: NOT_COMPARABLE, explanation, values: [] };
  }
  const pairs = `${Math.round(offset.ratio * 100)} % of ${tellCount(offset.pairCount, "pair")}`;
  const support = offset.isAround === true ? `as ${pairs} of the hours around it show` : `as ${pairs} show`;
  const value = evidenceValue("applied_offset_ms", offset.kind === "NONE" ? PASSED : FAILED, [
    undefined,
    String(offset.offsetMs),
  ]);
  if (offset.kind === "NONE") {
    const agrees = "agrees with the platform's";
    const what = offset.ratio >= MIN_SHARE ? agrees : "is off by no one constant that enough pairs share";
    const explanation = `In this hour the carrier's clock ${trunk} ${what}, ${support}.`;
    return { stage, outcome: PASSED, explanation, values: [value] };
  }
  const fault = offset.kind === "ZONE_SHIFT" ? ", a time zone error" : "";
  const by = `${tellLength(offset.offsetMs)} ${offset.offsetMs > 0 ? "ahead of" : "behind"} the platform's`;
  const explanation = `In this hour the carrier's clock ${trunk} is ${by}${fault}, ${support}; this was taken off its times before they were compared.`;
  return { stage, outcome: FAILED, explanation, values: [value] };
}

/** The ids of the signalling. */
export function explainCorrelation({ platform, carrier, result }: ExplainedCall): EvidenceStep | undefined {
  const stage = EvidenceStage.CORRELATION;
  if (platform === undefined || carrier === undefined) {
    const present = platform ?? carrier;
    const kinds = CORRELATIONS.filter(({ kind }) => present && idsOf(present.facts.ids, kind).length > 0);
    const names = tellList(kinds.map(({ title }) => title));
    const other = platform === undefined ? "the platform's" : "the carrier's";
    return kinds.length === 0
      ? {
          stage,
          outcome: NOT_COMPARABLE,
          explanation: "The record has no id of the signalling to be found by.",
          values: [],
        }
      : { stage, outcome: FAILED, explanation: `No open record of ${other} goes with its ${names}.`, values: [] };
  }
  const values = correlationValues(platform, carrier);
  const { matchedBy } = result;
  const joined = CORRELATIONS.find(({ kind }) => kind === matchedBy);
  if (joined !== undefined) {
    return {
      stage,
      outcome: PASSED,
      explanation: `Both records have the same ${joined.title}, and nothing speaks against it.`,
      values,
    };
  }
  if (matchedBy === MatchedBy.ECHOED) {
    const explanation =
      "Only the platform's own record id, which the carrier sent back, joins the records; that proves nothing of the carrier's.";
    return { stage, outcome: PASSED, explanation, values };
  }
  const differs = values.some(({ outcome }) => outcome === FAILED);
  const explanation = differs
    ? "The records have no id in common, although both have some: the pair rests on numbers and time."
    : "No id can be compared: the pair rests on numbers and time.";
  return { stage, outcome: differs ? FAILED : NOT_COMPARABLE, explanation, values };
}

/** The numbers, as either side has them. */
export function explainNumbers({ platform, carrier }: ExplainedCall): EvidenceStep | undefined {
  if (platform === undefined || carrier === undefined) return undefined;
  const stage = EvidenceStage.NUMBERS;
  const values = PARTIES.flatMap((name) => partyValue(name, platform, carrier));
  const isHidden = platform.numbers.callers.length === 0 || carrier.numbers.callers.length === 0;
  if (areContradicting(platform.numbers, carrier.numbers)) {
    const explanation =
      "The records name other numbers: one was changed on the way. The dialog proves the call all the same.";
    return { stage, outcome: FAILED, explanation, values };
  }
  if (!areSameParties(platform.numbers, carrier.numbers)) {
    const explanation = "The numbers cannot be compared; they do not contradict each other.";
    return { stage, outcome: NOT_COMPARABLE, explanation, values };
  }
  const explanation = isHidden
    ? "Both records name the same called number; one of them does not show who called."
    : "Both records name the same two parties, once their spellings are compared.";
  return { stage, outcome: PASSED, explanation, values };
}

/** Like times with like. */
export function explainTime({ platform, carrier, result }: ExplainedCall): EvidenceStep | undefined {
  if (platform === undefined || carrier === undefined) return undefined;
  const deltaMs = startDelta(platform, carrier);
  const stage = EvidenceStage.TIME_WINDOW;
  if (deltaMs === undefined) {
    return { stage, outcome: NOT_COMPARABLE, explanation: "One of the records has no times.", values: [] };
  }
  const { title, name, platformMs } = comparedTimes(platform, carrier);
  const windowMs = windowOf(carrier);
  const isInside = Math.abs(deltaMs) <= windowMs;
  const outcome = isInside ? PASSED : FAILED;
  const rest =
    isInside || result.matchedBy === MatchedBy.NUMBERS_AND_TIME ? "" : "; the ids join the records all the same";
  const apart = deltaMs === 0 ? "equal" : `${tellLength(deltaMs)} apart`;
  const times = [tellTime(platformMs), tellTime(platformMs + deltaMs), String(windowMs)];
  return {
    stage,
    outcome,
    explanation: `The ${title} are ${apart}, ${isInside ? "within" : "outside"} the window of ${tellLength(windowMs)}${rest}.`,
    values: [evidenceValue(name, outcome, times)],
  };
}

/** The choice of one among several. */
export function explainAssignment({ platform, carrier, pairing, result }: ExplainedCall): EvidenceStep | undefined {
  const stage = EvidenceStage.ASSIGNMENT;
  if (result.candidateCount !== undefined) {
    const explanation = `More than ${MAX_COMPONENT} records of the same parties could pair with each other, too many to tell apart: none is paired by guessing.`;
    const limit = evidenceValue("candidate_count", FAILED, [
      undefined,
      `at least ${result.candidateCount}`,
      String(MAX_COMPONENT),
    ]);
    return { stage, outcome: FAILED, explanation, values: [limit] };
  }
  if (platform === undefined || carrier === undefined) {
    const other = platform === undefined ? "platform" : "carrier";
    const explanation =
      result.status === MatchStatus.PART_OF_CALL
        ? `It is a further part of ${result.duplicateOf?.recordId} of ${result.duplicateOf?.recordDate}: it has its dialog and begins where that one ended, and the carrier counts both as one call.`
        : `No record of the ${other}'s with these numbers is free within ${tellLength(WINDOW_MS)}.`;
    const outcome = result.status === MatchStatus.PART_OF_CALL ? PASSED : FAILED;
    return { stage, outcome, explanation, values: [] };
  }
  const index = pairing.platform.findIndex(({ facts }) => facts === platform.facts);
  const isAlone = pairing.isAlone[index] === 1;
  const explanation = isAlone
    ? "Neither record could have been paired with any other."
    : "Other records could have been paired with these; of all that could be, these fit best: by their answers, times and durations.";
  return { stage, outcome: PASSED, explanation, values: [] };
}

/** The parts of a split call. */
export function explainSplit({ platform, carrier }: ExplainedCall): EvidenceStep | undefined {
  if (carrier === undefined || (carrier.records.length === 1 && carrier.facts.part === undefined)) return undefined;
  const isOne = carrier.records.length === 1;
  const parts = isOne ? `Here is one part (${tellRecords(carrier)}).` : `Taken together are ${tellRecords(carrier)}.`;
  const missing = carrier.lacksParts ? " By the numbering there is at least one more, which has not arrived." : "";
  return {
    stage: EvidenceStage.SPLIT,
    outcome: carrier.lacksParts ? FAILED : PASSED,
    explanation: `The carrier's switch split the call. ${parts}${missing}`,
    values: [
      evidenceValue("connected_duration_ms", carrier.lacksParts ? FAILED : PASSED, [
        tellNumber(platform?.connectedMs),
        carrier.records.map(tellPart).join(" + "),
      ]),
    ],
  };
}

/** Whether a record that is left over is a copy. */
export function explainDuplicate({ platform, carrier, result }: ExplainedCall): EvidenceStep | undefined {
  if (platform !== undefined && carrier !== undefined) return undefined;
  if (UNDOUBLED.has(result.status)) return undefined;
  const stage = EvidenceStage.DUPLICATE;
  const limit = evidenceValue("copy_window_ms", result.duplicateOf ? PASSED : FAILED, [
    undefined,
    undefined,
    String(COPY_WINDOW_MS),
  ]);
  const { duplicateOf } = result;
  if (duplicateOf === undefined) {
    const explanation = "No other record of this side is of the same dialog, or of the same parties, start and length.";
    return { stage, outcome: FAILED, explanation, values: [limit] };
  }
  const explanation = `It is a copy of ${tellRecord(duplicateOf)}: of the same dialog, or of the same parties with start and length at most ${tellLength(COPY_WINDOW_MS)} apart.`;
  return { stage, outcome: PASSED, explanation, values: [limit] };
}

/** Of these it is not asked whether they are copies. */
const UNDOUBLED: ReadonlySet<number> = new Set([
  MatchStatus.VOIDED,
  MatchStatus.NOT_REPORTED,
  MatchStatus.PART_OF_CALL,
]);

function comparedTimes(platform: PlatformUnit, carrier: CarrierUnit) {
  const { inviteMs, answerMs, startMs } = platform;
  if (answerMs !== undefined && carrier.answerMs !== undefined) {
    return { title: "answer times", name: "times.answer_time", platformMs: answerMs };
  }
  if (inviteMs !== undefined && carrier.inviteMs !== undefined) {
    return { title: "invite times", name: "times.invite_time", platformMs: inviteMs };
  }
  return { title: "times (one side's invite, the other's answer)", name: "times", platformMs: startMs };
}

const CORRELATIONS = [
  { kind: MatchedBy.DIALOG, title: "SIP dialog", name: "correlation.interconnect_dialog.call_id" },
  { kind: MatchedBy.ICID, title: "ICID", name: "correlation.icid" },
  { kind: MatchedBy.SESSION_ID, title: "Session-ID", name: "correlation.session_id" },
] as const;
const PRESENTATION_RESTRICTED = 2;
const PARTIES = ["calling", "asserted", "redirecting", "called", "dialed"] as const;

function correlationValues(platform: PlatformUnit, carrier: CarrierUnit): EvidenceValue[] {
  const mine = platform.facts.ids;
  const others = carrier.facts.ids;
  const values = CORRELATIONS.flatMap(({ kind, name }) => {
    const pair = [writtenId(mine, kind), writtenId(others, kind)] as const;
    if (pair[0] === undefined && pair[1] === undefined) return [];
    return [evidenceValue(name, idOutcome(kind, mine, others), pair)];
  });
  const { echoedRecordId } = carrier.facts;
  if (echoedRecordId === undefined) return values;
  const outcome = echoedRecordId === platform.facts.recordId ? PASSED : FAILED;
  return [...values, evidenceValue("platform_record_id", outcome, [platform.facts.recordId, echoedRecordId])];
}

function idOutcome(kind: (typeof CORRELATIONS)[number]["kind"], mine: CorrelationIds, others: CorrelationIds) {
  if (idsOf(mine, kind).length === 0 || idsOf(others, kind).length === 0) return NOT_COMPARABLE;
  const isSame = kind === MatchedBy.DIALOG ? isSameDialog(mine, others) : shareId(mine, others, kind);
  return isSame ? PASSED : FAILED;
}

// As its side wrote it.
function writtenId(ids: CorrelationIds, kind: (typeof CORRELATIONS)[number]["kind"]): string | undefined {
  if (kind === MatchedBy.DIALOG) return ids.dialogCallId;
  return kind === MatchedBy.ICID ? ids.icid : ids.sessionId;
}

function partyValue(
  name: (typeof PARTIES)[number],
  { facts: mine, numbers }: PlatformUnit,
  { facts: others, numbers: otherNumbers }: CarrierUnit,
): EvidenceValue[] {
  if (mine[name] === undefined && others[name] === undefined) return [];
  const isCaller = name !== "called" && name !== "dialed";
  const keys = isCaller ? numbers.callers : numbers.called;
  const otherKeys = isCaller ? otherNumbers.callers : otherNumbers.called;
  const isShown = mine[name]?.value !== undefined && others[name]?.value !== undefined;
  let outcome: EvidenceOutcome = isShown && isEqual(keys, otherKeys) ? PASSED : NOT_COMPARABLE;
  if (isShown && isContradicting(keys, otherKeys)) outcome = FAILED;
  return [evidenceValue(`parties.${name}`, outcome, [tellParty(mine[name]), tellParty(others[name])])];
}

/** A party for a person who is not concerned: its last digits hidden, or why it is not shown. */
function tellParty(party: Party | undefined): string | undefined {
  if (party === undefined) return undefined;
  const shown = party.presentation === PRESENTATION_RESTRICTED ? undefined : maskedValue(party);
  if (shown !== undefined) return shown;
  if (party.kind === PartyKind.RESTRICTED || party.presentation === PRESENTATION_RESTRICTED) return "restricted";
  return party.kind === PartyKind.ERASED ? "erased" : "unavailable";
}

function tellDirection(direction: number): string {
  return direction === 2 ? "inbound" : "outbound";
}

function tellRecord({
  recordId,
  recordDate,
  revision,
}: Pick<CommonFacts, "recordId" | "recordDate" | "revision">): string {
  return `${recordId} of ${recordDate} (revision ${revision})`;
}

function tellRecords({ records }: CarrierUnit): string {
  return tellList(records.map(tellRecord));
}

function tellPart({ connectedMs, billedS }: CarrierFacts): string {
  return tellNumber(connectedMs) ?? (billedS === undefined ? "unknown" : `${billedS * 1_000} (billed)`);
}

function tellNumber(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
