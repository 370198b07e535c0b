import { LegalBasis, ProcessingPurpose } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import type { Horizons } from "../calls/call-rules.ts";
import type { Stated } from "../enum-values.ts";
import { findRule } from "./retention-law.ts";
import { ALL_PARTS, ALL_PURPOSES } from "./retention-parts.ts";

/** Version of the privacy statement under which data flows. */
export const PRIVACY_STATEMENT_VERSION = "1";

/**
 * Days that the keys of records are kept after their day, by which a record that is sent again is
 * known: longer than any horizon, so that nothing that is still taken could be taken twice.
 */
export const KEY_DAYS = 402;
/**
 * Days after a closed period's end for which what its figures rest on stays: corrections arrive for
 * 400.
 */
export const CLOSED_PERIOD_DAYS = 402;

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

/**
 * What holds for one carrier: for each part and purpose its own policy, else its country's, else
 * the initial one. By part and purpose.
 * @param set what was set for the carrier and for its country; others are passed over.
 */
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

/**
 * What holds in a country where nobody has set anything; undefined: the part is not kept for this
 * purpose.
 */
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

/** How many days each part is kept. */
export type RetentionDays = Readonly<Record<Stated<RecordPart>, number>>;

/**
 * How long each part is kept: for the longest of its purposes. A call's quality and network
 * identifiers are nothing without the call, and end with it at the latest.
 */
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

/**
 * How old a record may be on arrival: as agreed, and never older than what it would be compared
 * with is kept. Records of a day are kept from when they arrive, so that on the last of these days
 * those of the other side may be gone already.
 */
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
