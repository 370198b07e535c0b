import { EvidenceOutcome, EvidenceStage } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyStatus } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { type CallUnit, type CarrierUnit, lengthOf, startDelta } from "../call-unit.ts";
import type { CarrierFacts, PlatformFacts, RecordRef } from "../facts.ts";
import { COPY_WINDOW_MS } from "../pairing/duplicates.ts";
import { isSameDialog } from "../signalling-ids.ts";
import {
  type EvidenceStep,
  type EvidenceValue,
  type ExplainedCall,
  evidenceStep,
  evidenceValue,
  tellLength,
  tellList,
  tellRecord,
  tellRecords,
  tellTime,
} from "./evidence.ts";

const { PASSED, FAILED } = EvidenceOutcome;

/** The parts of a call that one side, or both, wrote in several records. */
export function explainSplit({ platform, carrier }: ExplainedCall): EvidenceStep | undefined {
  const isCarriers = carrier !== undefined && (carrier.records.length > 1 || carrier.facts.part !== undefined);
  const isPlatforms = carrier !== undefined && platform !== undefined && platform.records.length > 1;
  if (!isCarriers && !isPlatforms) return undefined;
  const told = [
    ...(isPlatforms
      ? [
          `The platform wrote the call in several records, as happens with a transfer. Tandem counts them together: ${tellList(platform.records.map(tellTimes))}.`,
        ]
      : []),
    ...(isCarriers ? [tellCarriersParts(carrier)] : []),
  ];
  const outcome = carrier.lacksParts ? FAILED : PASSED;
  const lengths = (records: readonly Measured[]) => records.map(tellPart).join(" + ");
  const mine = isPlatforms ? lengths(platform.records) : tellNumber(platform?.connectedMs);
  return evidenceStep(EvidenceStage.SPLIT, outcome, told.join(" "), [
    evidenceValue("connected_duration_ms", outcome, [mine, lengths(carrier.records)]),
  ]);
}

/** Whether a record that is left over is a copy. */
export function explainDuplicate(call: ExplainedCall): EvidenceStep | undefined {
  const { platform, carrier, result } = call;
  if (platform !== undefined && carrier !== undefined) return undefined;
  if (UNDOUBLED.has(result.status)) return undefined;
  const { duplicateOf } = result;
  const outcome = duplicateOf === undefined ? FAILED : PASSED;
  const side = platform === undefined ? "carrier" : "platform";
  return evidenceStep(
    EvidenceStage.DUPLICATE,
    outcome,
    duplicateOf === undefined
      ? `This record is not a copy. No other ${side} record has the same dialog, or the same parties, start and length.`
      : `This record is a copy of ${tellRecord(duplicateOf)}: ${tellLikeness(call)}.`,
    copyValues(call, outcome),
  );
}

/** Of these it is not asked whether they are copies. */
const UNDOUBLED: ReadonlySet<number> = new Set([
  DiscrepancyStatus.AMBIGUOUS,
  DiscrepancyStatus.VOIDED,
  DiscrepancyStatus.NOT_REPORTED,
  DiscrepancyStatus.PART_OF_CALL,
]);

/** The rule by which records without a dialog are copies, where it is what was asked. */
function copyValues(call: ExplainedCall, outcome: EvidenceOutcome): EvidenceValue[] {
  const { copy, first } = copyOf(call);
  const isTold = copy !== undefined && first !== undefined;
  if (isTold && isSameDialog(copy.facts.ids, first.facts.ids)) return [];
  const apart = isTold ? startDelta(copy, first) : undefined;
  const told = apart === undefined ? undefined : `${Math.abs(apart)} apart`;
  const sides = call.platform === undefined ? [undefined, told] : [told, undefined];
  return [evidenceValue("copy_window_ms", outcome, [...sides, String(COPY_WINDOW_MS)])];
}

/** A record and the one of which it is a copy, if it is one. */
function copyOf({ platform, carrier, pairing, result }: ExplainedCall) {
  const { duplicateOf } = result;
  const units: readonly CallUnit[] = platform === undefined ? pairing.carrier : pairing.platform;
  const isOriginal = ({ recordId, recordDate }: RecordRef) =>
    recordId === duplicateOf?.recordId && recordDate === duplicateOf.recordDate;
  const copy: CallUnit | undefined = platform ?? carrier;
  return { copy, first: units.find(({ records }) => records.some(isOriginal)) };
}

/** What a copy and its original have in common. */
function tellLikeness(call: ExplainedCall): string {
  const { copy, first } = copyOf(call);
  const rule = `the same dialog, or the same parties with start and length at most ${tellLength(COPY_WINDOW_MS)} apart`;
  if (copy === undefined || first === undefined) return rule;
  if (isSameDialog(copy.facts.ids, first.facts.ids)) return "both records have the same SIP dialog";
  const [startMs, mine, others] = [startDelta(copy, first), lengthOf(copy), lengthOf(first)];
  if (startMs === undefined || mine === undefined || others === undefined) return rule;
  const length = mine === others ? "equal" : `${tellLength(others - mine)} apart`;
  return `both records have the same two parties, their starts are ${tellLength(startMs)} apart, and their lengths are ${length}`;
}

function tellCarriersParts(carrier: CarrierUnit): string {
  const { records } = carrier;
  const parts =
    records.length === 1
      ? `This is one part of it: ${tellRecord(carrier.facts)}.`
      : `Tandem counts its ${tellRecords(records)} together.`;
  const missing = carrier.lacksParts ? ` ${tellMissing(records)}` : "";
  return `The carrier's switch split the call. ${parts}${tellOverlap(records)}${missing}`;
}

function tellMissing(records: readonly CarrierFacts[]): string {
  const { parts, isOne } = tellMissingParts(records) ?? { parts: "at least one more part", isOne: true };
  const isCounted = records.some(({ part }) => part?.count !== undefined);
  const source = isCounted ? "The carrier's records name the number of parts" : "The part numbers show a gap";
  return `${source}: ${parts} ${isOne ? "has" : "have"} not arrived.`;
}

/** A part that begins before the one before it has ended. */
function tellOverlap(records: readonly CarrierFacts[]): string {
  const overlaps = records.flatMap(({ endMs }, at) => {
    const beginMs = records[at + 1]?.answerMs;
    return endMs !== undefined && beginMs !== undefined && beginMs < endMs ? [endMs - beginMs] : [];
  });
  const ms = overlaps.reduce((sum, each) => sum + each, 0);
  return ms === 0 ? "" : ` They overlap by ${tellLength(ms)}. Tandem adds up their lengths all the same.`;
}

function tellTimes(record: PlatformFacts): string {
  const { connectedMs, inviteMs, answerMs } = record;
  const from = answerMs ?? inviteMs;
  const length = connectedMs === undefined ? "" : ` for ${tellLength(connectedMs)}`;
  return `${tellRecord(record)}${from === undefined ? "" : ` from ${tellTime(from)}`}${length}`;
}

/**
 * Which parts of a call have not arrived: `part 3 of 4`. Undefined: the numbers do not say, or
 * there are too many.
 */
export function tellMissingParts(records: readonly CarrierFacts[]): { parts: string; isOne: boolean } | undefined {
  const indexes = records.flatMap(({ part }) => part?.index ?? []);
  const count = Math.max(0, ...records.map(({ part }) => part?.count ?? 0), ...indexes);
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((index) => !indexes.includes(index));
  if (missing.length === 0 || missing.length > MOST_TOLD) return undefined;
  const isOne = missing.length === 1;
  return { parts: `${isOne ? "part" : "parts"} ${tellList(missing.map(String))} of ${count}`, isOne };
}

/** The parts before and after the missing ones, when these are in one place. */
export function aroundMissing(records: readonly CarrierFacts[]): readonly [CarrierFacts, CarrierFacts] | undefined {
  const sorted = records.filter(({ part }) => part !== undefined).sort((a, b) => indexOf(a) - indexOf(b));
  const gaps = sorted.flatMap((record, at) => {
    const next = sorted[at + 1];
    return next !== undefined && indexOf(next) > indexOf(record) + 1 ? [[record, next] as const] : [];
  });
  return gaps.length === 1 ? gaps[0] : undefined;
}

function indexOf({ part }: CarrierFacts): number {
  return part?.index ?? 0;
}

/** More numbers of parts are none that anybody reads. */
const MOST_TOLD = 5;

type Measured = Pick<CarrierFacts, "connectedMs"> & { readonly billedS?: number | undefined };

function tellPart({ connectedMs, billedS }: Measured): string {
  return tellNumber(connectedMs) ?? (billedS === undefined ? "unknown" : `${billedS * 1_000} (billed)`);
}

function tellNumber(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
