import { EvidenceOutcome, EvidenceStage } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyStatus, MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { PartyKind, Presentation } from "../../../gen/tandem/type/v1/party_pb.js";
import { maskedValue, type Party } from "../../calls/party.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../record-kind.ts";
import { type CarrierUnit, isCarrierInScope, isPlatformInScope, type PlatformUnit, startDelta } from "../call-unit.ts";
import { MIN_SHARE } from "../clocks/clock-judgement.ts";
import type { CorrelationIds } from "../facts.ts";
import { areContradicting, areSameParties, isContradicting, isEqual } from "../number-keys.ts";
import { idsOf, shareId } from "../pairing/correlation.ts";
import { WINDOW_MS, windowOf } from "../pairing/time-window.ts";
import { isSameDialog } from "../signalling-ids.ts";
import {
  type EvidenceStep,
  type EvidenceValue,
  type ExplainedCall,
  evidenceStep,
  evidenceValue,
  tellCount,
  tellLength,
  tellList,
  tellName,
  tellRecords,
  tellTime,
} from "./evidence.ts";
import { type Other, othersOf, tellRefusal, wholeOf } from "./explain-refused.ts";

const { PASSED, FAILED, NOT_COMPARABLE } = EvidenceOutcome;

/** Which revision of each record counts, and whether it is void or partial. */
export function explainState(call: ExplainedCall): EvidenceStep {
  const { platform, carrier, result } = call;
  const records = [
    ...(platform ? [`the platform's ${tellRecords(platform.records)}`] : []),
    ...(carrier ? [`the carrier's ${tellRecords(carrier.records)}`] : []),
  ];
  const isVoid = (platform ?? carrier)?.facts.isVoid === true;
  const isPartial = platform?.facts.isPartial === true;
  const isPart = result.status === DiscrepancyStatus.PART_OF_CALL;
  const state = [
    ...(isVoid ? [" The call was taken back with a VOID, so it is not counted."] : []),
    ...(isPartial ? [" The platform's record is partial: the call is not over, or its end is not known yet."] : []),
    ...(platform ? [] : [" No platform record is paired with it."]),
    ...(isPart ? [` It is ${tellWhole(call)}.`] : []),
    ...(carrier || isPart ? [] : [" No carrier record is paired with it."]),
  ];
  return evidenceStep(
    EvidenceStage.RECORD_STATE,
    isVoid || isPartial ? FAILED : PASSED,
    `${tellLooked(records, isVoid)}.${state.join("")}`,
    [
      evidenceValue("revision", PASSED, [
        platform && tellList(platform.records.map(({ revision }) => String(revision))),
        carrier && tellList(carrier.records.map(({ revision }) => String(revision))),
      ]),
    ],
  );
}

/** Whether the carrier has to report the call. */
export function explainScope({ platform, carrier, input, result }: ExplainedCall): EvidenceStep | undefined {
  if (result.status === DiscrepancyStatus.VOIDED) return undefined;
  const { agreement } = input;
  const isInScope =
    platform === undefined
      ? carrier !== undefined && isCarrierInScope(carrier, agreement)
      : isPlatformInScope(platform, agreement);
  const scope = agreement.scopeAt(result.startMs);
  const isPair = platform !== undefined && carrier !== undefined;
  const answered = (platform ?? carrier)?.answered === true;
  const call = `${tellDirection(result.direction)} and ${answered ? "answered" : "unanswered"}`;
  const told = `${isDisputed(platform, carrier) ? "By the platform's record the" : "The"} call is ${call}`;
  const limit = scope && scope.directions.map(tellDirection).join(", ") + (scope.unanswered ? "" : ", answered only");
  const outside = isPair ? "It reported this one, so Tandem compared it" : "So nothing is missing";
  return evidenceStep(
    EvidenceStage.REPORTING_SCOPE,
    isInScope ? PASSED : FAILED,
    isInScope
      ? `${told}, which the carrier has agreed to report.`
      : `${told}. The carrier does not have to report such calls. ${outside}.`,
    [
      evidenceValue("reporting_scope", isInScope ? PASSED : FAILED, [
        platform && call,
        platform ? undefined : call,
        limit,
      ]),
    ],
  );
}

/** Whether the sides differ in what the reporting scope depends on. */
function isDisputed(platform: PlatformUnit | undefined, carrier: CarrierUnit | undefined): boolean {
  if (platform === undefined || carrier === undefined) return false;
  return platform.answered !== carrier.answered || platform.facts.direction !== carrier.facts.direction;
}

/** The offset that was taken off the carrier's times. */
export function explainClock({ carrier }: ExplainedCall): EvidenceStep | undefined {
  if (carrier === undefined || carrier.facts.isVoid) return undefined;
  const { offset, facts } = carrier;
  const trunk = facts.trunkId === undefined ? "without a trunk" : `on trunk ${facts.trunkId}`;
  const stage = EvidenceStage.CLOCK_OFFSET;
  if (offset === undefined || offset.pairCount === 0) {
    const explanation = `There were too few calls ${trunk} around this hour to check the carrier's clock. Tandem used the carrier's times as they are.`;
    return evidenceStep(stage, NOT_COMPARABLE, explanation);
  }
  const pairs = `${Math.round(offset.ratio * 100)} % of ${tellCount(offset.pairCount, "pair")}`;
  const support = offset.isAround === true ? `${pairs} of the hours around it` : pairs;
  const value = evidenceValue("applied_offset_ms", offset.kind === "NONE" ? PASSED : FAILED, [
    undefined,
    String(offset.offsetMs),
  ]);
  if (offset.kind === "NONE") {
    const explanation =
      offset.ratio >= MIN_SHARE
        ? `In this hour the carrier's clock ${trunk} agrees with the platform's, as ${support} show.`
        : `In this hour no single offset of the carrier's clock ${trunk} fits enough pairs. Only ${support} show none. Tandem used the carrier's times as they are.`;
    return evidenceStep(stage, PASSED, explanation, [value]);
  }
  const fault = offset.kind === "ZONE_SHIFT" ? ": a time zone error" : "";
  const by = `${tellLength(offset.offsetMs)} ${offset.offsetMs > 0 ? "ahead of" : "behind"} the platform's`;
  const explanation = `In this hour the carrier's clock ${trunk} is ${by}${fault}. ${support} show this. Tandem corrected the carrier's times by ${tellLength(offset.offsetMs)} before it compared them.`;
  return evidenceStep(stage, FAILED, explanation, [value]);
}

/** The ids of the signalling. */
export function explainCorrelation(call: ExplainedCall): EvidenceStep | undefined {
  const { platform, carrier, result } = call;
  const stage = EvidenceStage.CORRELATION;
  if (platform === undefined || carrier === undefined) return explainUnjoined(call);
  const values = correlationValues(platform, carrier);
  const { matchedBy } = result;
  const joined = CORRELATIONS.find(({ kind }) => kind === matchedBy);
  if (joined !== undefined) {
    return evidenceStep(stage, PASSED, `The records of both sides have the same ${joined.title}.`, values);
  }
  if (matchedBy === MatchedBy.ECHOED) {
    const explanation =
      "The carrier sent back the platform's record id. Only this id joins the records. It proves nothing about the carrier's own record.";
    return evidenceStep(stage, PASSED, explanation, values);
  }
  const differs = values.some(({ outcome }) => outcome === FAILED);
  const explanation = differs
    ? "Both records have ids, but none in common. Tandem paired them by numbers and time."
    : "The records have no ids that can be compared. Tandem paired them by numbers and time.";
  return evidenceStep(stage, differs ? FAILED : NOT_COMPARABLE, explanation, values);
}

function explainUnjoined(call: ExplainedCall): EvidenceStep {
  const { platform, carrier, result } = call;
  const stage = EvidenceStage.CORRELATION;
  const ids = (platform ?? carrier)?.facts.ids ?? {};
  const kinds = CORRELATIONS.filter(({ kind }) => idsOf(ids, kind).length > 0);
  if (kinds.length === 0) {
    const explanation = "The record has no signalling id (Call-ID, ICID or Session-ID) to search by.";
    return evidenceStep(stage, NOT_COMPARABLE, explanation);
  }
  const holders = othersOf(call, platform === undefined ? CARRIER_SIDE : PLATFORM_SIDE).flatMap((other) => {
    const joint = kinds.find(({ kind }) => shareId(other.platform.facts.ids, other.carrier.facts.ids, kind));
    return joint === undefined ? [] : [{ ...other, ...joint, refusal: tellRefusal(other, joint.kind) }];
  });
  const holder = holders.find(({ refusal }) => refusal === undefined) ?? holders[0];
  const none = `No unpaired ${platform === undefined ? "platform" : "carrier"} record has the same ${kinds.map(({ title }) => title).join(" or ")}.`;
  const isPart = result.status === DiscrepancyStatus.PART_OF_CALL && holder?.mate !== undefined;
  const explanation = holder === undefined ? none : tellHolder(holder, isPart);
  return evidenceStep(stage, isPart ? PASSED : FAILED, explanation);
}

interface Holder extends Pick<Other, "facts" | "mate"> {
  readonly title: string;
  readonly id: string;
  readonly refusal: string | undefined;
}

/** Why a record that has the same id is not the pair. */
function tellHolder({ facts, mate, title, id, refusal }: Holder, isPart: boolean): string {
  const name = `Record ${tellName(facts)}`;
  if (refusal !== undefined) return `${name} has the same ${id}, but ${refusal}.`;
  if (mate === undefined) return `${name} has the same ${id}, but the id alone does not decide: see the assignment.`;
  const has = `${name} has the same ${title}`;
  return isPart
    ? `${has} and is paired with ${tellName(mate)}, the first record of this call.`
    : `${has}, but is already paired with ${tellName(mate)}.`;
}

/** The numbers, as either side has them. */
export function explainNumbers({ platform, carrier }: ExplainedCall): EvidenceStep | undefined {
  if (platform === undefined || carrier === undefined) return undefined;
  const stage = EvidenceStage.NUMBERS;
  const values = PARTIES.flatMap((name) => partyValue(name, platform, carrier));
  const isHidden = platform.numbers.callers.length === 0 || carrier.numbers.callers.length === 0;
  if (areContradicting(platform.numbers, carrier.numbers)) {
    const explanation =
      "The records name different numbers. Tandem still takes them as one call, because the Call-ID and both tags are equal. Either a number was changed on the way, or one side wrote a wrong number.";
    return evidenceStep(stage, FAILED, explanation, values);
  }
  if (!areSameParties(platform.numbers, carrier.numbers)) {
    const explanation = "The numbers cannot be compared, but they do not contradict each other.";
    return evidenceStep(stage, NOT_COMPARABLE, explanation, values);
  }
  const explanation = isHidden
    ? "Both sides name the same called number. One of them does not show who called."
    : "Both sides name the same two parties, after Tandem put their numbers into one format.";
  return evidenceStep(stage, PASSED, explanation, values);
}

/** Like times with like. */
export function explainTime({ platform, carrier, result }: ExplainedCall): EvidenceStep | undefined {
  if (platform === undefined || carrier === undefined) return undefined;
  const deltaMs = startDelta(platform, carrier);
  const stage = EvidenceStage.TIME_WINDOW;
  if (deltaMs === undefined) {
    return evidenceStep(stage, NOT_COMPARABLE, "One of the records has no times.");
  }
  const { title, name, platformMs } = comparedTimes(platform, carrier);
  const windowMs = windowOf(carrier);
  const isInside = Math.abs(deltaMs) <= windowMs;
  const outcome = isInside ? PASSED : FAILED;
  const rest = isInside || result.matchedBy === MatchedBy.NUMBERS_AND_TIME ? "" : " The ids join the records even so.";
  const place = `${isInside ? "within" : "outside"} ${tellWindow(windowMs)}`;
  const apart = deltaMs === 0 ? "equal" : `${tellLength(deltaMs)} apart, ${place}`;
  const offsetMs = carrier.offset?.offsetMs ?? 0;
  const corrected = offsetMs === 0 ? "" : `After the clock correction of ${tellLength(offsetMs)}, `;
  const less = offsetMs === 0 ? "" : " (corrected)";
  const times = [tellTime(platformMs), `${tellTime(platformMs + deltaMs)}${less}`, `${windowMs} ms`];
  return evidenceStep(stage, outcome, `${corrected}${corrected === "" ? "The" : "the"} ${title} are ${apart}.${rest}`, [
    evidenceValue(name, outcome, times),
  ]);
}

function tellWhole(call: ExplainedCall): string {
  const { duplicateOf: first } = call.result;
  const whole = wholeOf(call);
  const paired = whole === undefined ? "" : `, which is paired with ${tellName(whole)}`;
  return `a later part of a call, and counted with ${first && tellName(first)}${paired}`;
}

function tellLooked(records: readonly string[], isVoid: boolean): string {
  if (records.length === 2 && !isVoid) return `Tandem compared ${records.join(" with ")}`;
  return `Tandem looked at ${tellList(records)}`;
}

function tellWindow(windowMs: number): string {
  const slackMs = windowMs - WINDOW_MS;
  const slack = slackMs === 0 ? "" : ` (plus ${tellLength(slackMs)}, because ${tellResolution(slackMs + 1)})`;
  return `the window of ${tellLength(WINDOW_MS)}${slack}`;
}

function tellResolution(resolutionMs: number): string {
  const times = "the carrier's times are";
  if (resolutionMs === 1_000) return `${times} in whole seconds`;
  return resolutionMs === 60_000 ? `${times} in whole minutes` : `${times} in steps of ${tellLength(resolutionMs)}`;
}

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
  {
    kind: MatchedBy.INTERCONNECT_DIALOG,
    title: "SIP dialog (Call-ID)",
    id: "Call-ID",
    name: "correlation.interconnect_dialog.call_id",
  },
  { kind: MatchedBy.ICID, title: "ICID", id: "ICID", name: "correlation.icid" },
  { kind: MatchedBy.SESSION_ID, title: "Session-ID", id: "Session-ID", name: "correlation.session_id" },
] as const;
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
  const isSame = kind === MatchedBy.INTERCONNECT_DIALOG ? isSameDialog(mine, others) : shareId(mine, others, kind);
  return isSame ? PASSED : FAILED;
}

// As its side wrote it.
function writtenId(ids: CorrelationIds, kind: (typeof CORRELATIONS)[number]["kind"]): string | undefined {
  if (kind === MatchedBy.INTERCONNECT_DIALOG) return ids.dialogCallId;
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
  const shown = party.presentation === Presentation.RESTRICTED ? undefined : maskedValue(party);
  if (shown !== undefined) return shown;
  if (party.kind === PartyKind.RESTRICTED || party.presentation === Presentation.RESTRICTED) return "restricted";
  return party.kind === PartyKind.ERASED ? "erased" : "unavailable";
}

function tellDirection(direction: number): string {
  return direction === 2 ? "inbound" : "outbound";
}
