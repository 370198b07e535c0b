import { LegalBasis, ProcessingPurpose } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import type { Horizons } from "../calls/call-rules.ts";
import { enumValues, type Stated } from "../enum-values.ts";
import { findRule } from "./retention-law.ts";

/** Version of the privacy statement under which data flows. */
export const PRIVACY_STATEMENT_VERSION = "1";

/** Days that records' keys are kept: longer than any horizon, so that nothing is taken twice. */
export const KEY_DAYS = 402;
/** Days after a period's end for which the basis of its figures stays: corrections take 400. */
export const CLOSED_PERIOD_DAYS = 402;

export const ALL_PARTS = enumValues(RecordPart);
export const ALL_PURPOSES = enumValues(ProcessingPurpose);

/** What somebody has set, for a country or for one of its carriers. */
export interface SetPolicy {
  readonly countryCode: string;
  /** Undefined: for every carrier of the country that has none of its own. */
  readonly carrierId: string | undefined;
  readonly part: Stated<RecordPart>;
  readonly purpose: Stated<ProcessingPurpose>;
  readonly legalBasis: Stated<LegalBasis>;
  readonly retentionDays: number;
  readonly source: string;
  readonly privacyStatementVersion: string;
  /** From 1. */
  readonly revision: bigint;
}

/** A policy in force; revision 0: nobody has set it. */
export interface PolicyInForce extends Omit<SetPolicy, "carrierId" | "revision"> {
  readonly carrierId: string | undefined;
  readonly revision: bigint;
}

/** What holds by part and purpose: of the carrier, else the country, else the initial policy. */
export function policiesInForce<Policy extends SetPolicy>(
  carrier: { countryCode: string; carrierId: string },
  set: readonly Policy[],
): (Policy | PolicyInForce)[] {
  return ALL_PARTS.flatMap((part) =>
    ALL_PURPOSES.flatMap((purpose) => {
      const found = set.filter(
        (each) => each.countryCode === carrier.countryCode && each.part === part && each.purpose === purpose,
      );
      const own = found.find(({ carrierId }) => carrierId === carrier.carrierId);
      return (
        own ??
        found.find(({ carrierId }) => carrierId === undefined) ??
        initialPolicy(carrier.countryCode, part, purpose) ??
        []
      );
    }),
  );
}

/** What holds where nobody has set anything; undefined: not kept for this purpose. */
export function initialPolicy(
  countryCode: string,
  part: Stated<RecordPart>,
  purpose: Stated<ProcessingPurpose>,
): PolicyInForce | undefined {
  const { initial } = findRule(countryCode, part, purpose);
  if (!initial) return undefined;
  return {
    countryCode,
    carrierId: undefined,
    part,
    purpose,
    legalBasis: initial.legalBasis,
    retentionDays: initial.days,
    source: initial.source,
    privacyStatementVersion: PRIVACY_STATEMENT_VERSION,
    revision: 0n,
  };
}

export type RetentionDays = Readonly<Record<Stated<RecordPart>, number>>;

/** For the longest of a part's purposes. Quality and network ids end with the call. */
export function retentionDays(policies: readonly Pick<SetPolicy, "part" | "retentionDays">[]): RetentionDays {
  const longest = (part: RecordPart) =>
    Math.max(0, ...policies.filter((policy) => policy.part === part).map((policy) => policy.retentionDays));
  const call = longest(RecordPart.CALL);
  return {
    [RecordPart.CALL]: call,
    [RecordPart.QUALITY]: Math.min(call, longest(RecordPart.QUALITY)),
    [RecordPart.NETWORK]: Math.min(call, longest(RecordPart.NETWORK)),
    [RecordPart.DURATION]: longest(RecordPart.DURATION),
    [RecordPart.NUMBER_HISTORY]: longest(RecordPart.NUMBER_HISTORY),
    [RecordPart.LOGS]: longest(RecordPart.LOGS),
  };
}

/** How old a record may be on arrival: as agreed, but not older than its counterparts are kept. */
export function keptHorizons(agreed: Horizons, days: RetentionDays): Horizons {
  const kept = Math.max(0, Math.min(days[RecordPart.CALL], days[RecordPart.DURATION]) - 1);
  return { firstDays: Math.min(agreed.firstDays, kept), laterDays: Math.min(agreed.laterDays, kept) };
}

/** A purpose and a ground as the agreement words them. */
export function wordsOf(policy: Pick<SetPolicy, "purpose" | "legalBasis">): { purpose: string; legalBasis: string } {
  return { purpose: PURPOSE_WORDS[policy.purpose], legalBasis: BASIS_WORDS[policy.legalBasis] };
}

const PURPOSE_WORDS: Readonly<Record<Stated<ProcessingPurpose>, string>> = {
  [ProcessingPurpose.TROUBLESHOOTING]: "troubleshooting",
  [ProcessingPurpose.USAGE_AND_BILLING]: "usage and billing",
  [ProcessingPurpose.RECONCILIATION]: "reconciliation",
  [ProcessingPurpose.LEGAL_OBLIGATION]: "legal obligation",
  [ProcessingPurpose.ACCOUNTABILITY]: "accountability",
};

const BASIS_WORDS: Readonly<Record<Stated<LegalBasis>, string>> = {
  [LegalBasis.CONTRACT]: "GDPR 6(1)(b)",
  [LegalBasis.LEGAL_OBLIGATION]: "GDPR 6(1)(c)",
  [LegalBasis.LEGITIMATE_INTERESTS]: "GDPR 6(1)(f)",
  [LegalBasis.CONSENT]: "GDPR 6(1)(a)",
};
