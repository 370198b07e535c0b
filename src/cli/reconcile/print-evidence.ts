import { maskedValue } from "../../domain/calls/party.ts";
import { tellLength } from "../../domain/matching/explain/evidence.ts";
import {
  type CallExplanation,
  EvidenceOutcome,
  EvidenceOutcomeSchema,
  EvidenceStage,
  EvidenceStageSchema,
  type EvidenceStep,
  type EvidenceValue,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { Party } from "../../gen/tandem/type/v1/party_pb.js";
import { styled } from "../shared/output.ts";
import { enumName, formatParty } from "../shared/values.ts";
import { isAgreeing } from "./print-discrepancies.ts";

const PARTIES = ["calling", "asserted", "redirecting", "called", "dialed"] as const;
type PartyName = (typeof PARTIES)[number];

type Colour = "green" | "red" | "dim";
const COLOURS: Readonly<Record<number, Colour>> = {
  [EvidenceOutcome.PASSED]: "green",
  [EvidenceOutcome.FAILED]: "red",
  [EvidenceOutcome.NOT_COMPARABLE]: "dim",
  [EvidenceOutcome.SKIPPED]: "dim",
};

/** Steps that ask what is no fault, whatever the answer, say what they found in their own words. */
const ANSWERS: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  [EvidenceStage.REPORTING_SCOPE]: { [EvidenceOutcome.FAILED]: "outside" },
  [EvidenceStage.CLOCK_OFFSET]: { [EvidenceOutcome.FAILED]: "corrected" },
  [EvidenceStage.SPLIT]: { [EvidenceOutcome.PASSED]: "complete", [EvidenceOutcome.FAILED]: "incomplete" },
  [EvidenceStage.CAUSE]: { [EvidenceOutcome.PASSED]: "found", [EvidenceOutcome.FAILED]: "not found" },
  [EvidenceStage.DUPLICATE]: { [EvidenceOutcome.PASSED]: "yes", [EvidenceOutcome.FAILED]: "no" },
  [EvidenceStage.GRACE]: { [EvidenceOutcome.PASSED]: "running", [EvidenceOutcome.FAILED]: "over" },
};

/**
 * One step as a sentence, and under it what it compared. Numbers of parties are masked in steps;
 * they are printed as the records beside them show them to this reader.
 */
export function formatStep(step: EvidenceStep, number: number, explanation: CallExplanation): string[] {
  const { stage, outcome, values } = step;
  const answer = ANSWERS[stage]?.[outcome];
  const colour = answer === undefined ? COLOURS[outcome] : "dim";
  const isNote = stage === EvidenceStage.CAUSE && explanation.result !== undefined && isAgreeing(explanation.result);
  const told = styled(colour ?? "dim", (isNote ? "note" : nameOutcome(step, outcome, explanation)).padEnd(14));
  const head = `${String(number).padStart(2)}. ${told}  ${enumName(EvidenceStageSchema, stage) ?? ""}: ${step.explanation}`;
  const lines = values.map((value) => {
    // A revision is not compared with anything.
    const came = stage === EvidenceStage.RECORD_STATE ? "" : nameOutcome(step, value.outcome, explanation);
    return formatValue(asShown(value, explanation), came);
  });
  return [head, ...lines.map((line) => `      ${line}`)];
}

function nameOutcome({ stage }: EvidenceStep, outcome: EvidenceOutcome, { result }: CallExplanation): string {
  // A record that lacks its pair has not passed anything.
  const isUnpaired = result?.platformRecord === undefined || result.carrierRecords.length === 0;
  if (stage === EvidenceStage.RECORD_STATE && outcome === EvidenceOutcome.PASSED && isUnpaired)
    return result?.status === DiscrepancyStatus.PART_OF_CALL ? "part" : "unpaired";
  return ANSWERS[stage]?.[outcome] ?? enumName(EvidenceOutcomeSchema, outcome) ?? "";
}

type ShownValue = Pick<EvidenceValue, "valueName" | "platformValue" | "carrierValue" | "limitValue">;

function asShown(value: EvidenceValue, { platformRecord, carrierRecords: [first] }: CallExplanation): ShownValue {
  const name = PARTIES.find((each) => value.valueName === `parties.${each}`);
  if (name === undefined) return value;
  const { valueName, platformValue, carrierValue } = value;
  return {
    valueName,
    platformValue: partyAsShown(platformValue, platformRecord?.parties, name),
    carrierValue: partyAsShown(carrierValue, first, name),
    limitValue: undefined,
  };
}

// The record may be of another revision than the one that was compared: then the value stays.
function partyAsShown(
  told: string | undefined,
  parties: Readonly<Partial<Record<PartyName, Party | undefined>>> | undefined,
  name: PartyName,
): string | undefined {
  const party = parties?.[name];
  return party !== undefined && told !== undefined && maskedValue(party) === told ? formatParty(party) : told;
}

/** Sides of values that are not simply what the platform and the carrier say. */
const SIDES: Readonly<Record<string, readonly [platform: string, carrier: string]>> = {
  billed_duration_s: ["by the rule", "billed"],
  candidate_count: ["platform", "both sides together"],
};

function formatValue({ valueName, platformValue, carrierValue, limitValue }: ShownValue, outcome: string): string {
  const [platform, carrier] = SIDES[valueName] ?? ["platform", "carrier"];
  const told = [
    [platform, platformValue],
    [carrier, carrierValue],
    ["limit", limitValue],
  ].flatMap(([title, value]) => (value === undefined ? [] : [`${title} ${withUnits(valueName, value)}`]));
  const name = valueName.replace(/_m?s$/, "");
  return styled("dim", `${name}: ${[...told, outcome].filter(Boolean).join(", ")}`);
}

/** A value whose name ends in a unit, or that has its own, as a length for people. */
function withUnits(name: string, value: string): string {
  const unit = /_(m?s)$/.exec(name)?.[1];
  if (unit === undefined && !/^\d+ ms$/.test(value)) return value;
  return value.replaceAll(/(-?)(\d+)( ms)?/g, (_, sign: string, digits: string, ms?: string) => {
    const isSeconds = unit === "s" && ms === undefined;
    return `${sign}${tellLength(Number(digits) * (isSeconds ? 1_000 : 1))}`;
  });
}
