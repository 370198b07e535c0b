import { LegalBasis, ProcessingPurpose } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import type { Stated } from "../enum-values.ts";

export interface Bound {
  readonly days: number;
  /** A law with its article, or a decision of this project. */
  readonly source: string;
}

/** What is asked of one part and purpose under a country's law. */
export interface RetentionRule {
  /** Undefined: nothing is asked for. */
  readonly minimum: Bound | undefined;
  /** Undefined: no number is set. */
  readonly maximum: Bound | undefined;
  /** Where nobody has set a policy. Undefined: the part is not kept for this purpose. */
  readonly initial: (Bound & { readonly legalBasis: Stated<LegalBasis> }) | undefined;
}

/** What a country's law asks of a part for a purpose; unknown countries have the general rule. */
export function findRule(countryCode: string, part: Stated<RecordPart>, purpose: ProcessingPurpose): RetentionRule {
  const general = GENERAL[part];
  const own = COUNTRIES[countryCode]?.[part];
  return {
    minimum: own?.minimum ?? general.minimum,
    maximum: own?.maxima?.[purpose] ?? general.maximum,
    initial: own?.initial?.[purpose] ?? general.initial[purpose],
  };
}

interface PartRules {
  readonly minimum?: Bound;
  readonly maximum: Bound;
  readonly initial: Readonly<Partial<Record<ProcessingPurpose, Bound & { readonly legalBasis: Stated<LegalBasis> }>>>;
}

interface CountryRules {
  readonly minimum?: Bound;
  readonly maxima?: Readonly<Partial<Record<ProcessingPurpose, Bound>>>;
  readonly initial?: PartRules["initial"];
}

const { TROUBLESHOOTING, USAGE_AND_BILLING, LEGAL_OBLIGATION, ACCOUNTABILITY } = ProcessingPurpose;

const STORAGE_LIMITATION = "GDPR 5(1)(e): no longer than the purpose needs; in days by Tandem decision 0006";

/** Calls are judged until the longest grace that can be agreed, 30 days, is over. */
const RECONCILED: Bound = { days: 32, source: "Tandem decision 0006: until calls are reconciled, 30 days at most" };
/** 18 months, and longer than the 400 days in which later revisions arrive. */
const BILLING = {
  days: 550,
  source: "Tandem decision 0006: corrections arrive for 400 days (ePrivacy 6(2))",
  legalBasis: LegalBasis.CONTRACT,
} as const;
const TEN_YEARS: Bound = { days: 3_653, source: STORAGE_LIMITATION };

// Everywhere: laws set few numbers, and docs/decisions/0006-privacy.md decides the rest.
const GENERAL: Readonly<Record<Stated<RecordPart>, PartRules>> = {
  [RecordPart.CALL]: { minimum: RECONCILED, maximum: TEN_YEARS, initial: { [USAGE_AND_BILLING]: BILLING } },
  [RecordPart.QUALITY]: {
    maximum: { days: 400, source: STORAGE_LIMITATION },
    initial: { [TROUBLESHOOTING]: troubleshooting(90) },
  },
  [RecordPart.NETWORK]: {
    maximum: { days: 180, source: STORAGE_LIMITATION },
    initial: { [TROUBLESHOOTING]: troubleshooting(30) },
  },
  [RecordPart.DURATION]: { minimum: RECONCILED, maximum: TEN_YEARS, initial: { [USAGE_AND_BILLING]: BILLING } },
  [RecordPart.NUMBER_HISTORY]: {
    minimum: { days: 402, source: "Tandem decision 0006: records up to 400 days old are attributed by it" },
    maximum: TEN_YEARS,
    initial: { [USAGE_AND_BILLING]: BILLING },
  },
  [RecordPart.LOGS]: {
    minimum: {
      days: 366,
      source: "US 47 CFR 64.2009(c), a year at least; elsewhere GDPR 5(2) by Tandem decision 0006",
    },
    maximum: TEN_YEARS,
    initial: {
      [ACCOUNTABILITY]: {
        days: 730,
        source: "GDPR 5(2), 30; two years by Tandem decision 0006",
        legalBasis: LegalBasis.LEGAL_OBLIGATION,
      },
    },
  },
};

function troubleshooting(days: number): Bound & { legalBasis: Stated<LegalBasis> } {
  return { days, source: STORAGE_LIMITATION, legalBasis: LegalBasis.LEGITIMATE_INTERESTS };
}

// 18 months are 550 days at most.
const TOLL_RECORDS: CountryRules = {
  minimum: { days: 550, source: "47 CFR 42.6 (toll records, 18 months)" },
  initial: {
    [LEGAL_OBLIGATION]: {
      days: 550,
      source: "47 CFR 42.6 (toll records, 18 months)",
      legalBasis: LegalBasis.LEGAL_OBLIGATION,
    },
  },
};

// Billing data may be kept while the claim lives (ePrivacy 6(2)).
function billingUntil(years: number, source: string): CountryRules {
  return { maxima: { [USAGE_AND_BILLING]: { days: Math.ceil(years * 365.25), source } } };
}

const DENMARK = billingUntil(3, "Directive 2002/58/EC 6(2); forældelsesloven § 3 (three years)");
const BRITAIN = billingUntil(6, "PECR 2003 reg. 7; Limitation Act 1980 s. 5 (six years)");
const IRELAND = billingUntil(6, "S.I. 336/2011; Statute of Limitations 1957 s. 11(1) (six years)");

/** Where a law sets a number that we are sure of, by country and part. */
const COUNTRIES: Readonly<Record<string, Partial<Record<RecordPart, CountryRules>>>> = {
  US: {
    [RecordPart.CALL]: TOLL_RECORDS,
    [RecordPart.DURATION]: TOLL_RECORDS,
    [RecordPart.LOGS]: { minimum: { days: 366, source: "47 CFR 64.2009(c) (CPNI disclosures, a year at least)" } },
  },
  DK: { [RecordPart.CALL]: DENMARK, [RecordPart.DURATION]: DENMARK },
  GB: { [RecordPart.CALL]: BRITAIN, [RecordPart.DURATION]: BRITAIN },
  IE: { [RecordPart.CALL]: IRELAND, [RecordPart.DURATION]: IRELAND },
};
