/** How long one part of the records is kept, for one purpose. */
export interface PartRetention {
  /** The numbers of tandem.type.v1.RecordPart. */
  readonly recordPart: number;
  readonly purpose: string;
  readonly legalBasis: string;
  readonly retentionDays: number;
}

/** Version of the privacy statement under which data flows. */
export const PRIVACY_STATEMENT_VERSION = "1";

const BILLING = { purpose: "usage and billing", legalBasis: "GDPR 6(1)(b)" };
const TROUBLESHOOTING = { purpose: "troubleshooting", legalBasis: "GDPR 6(1)(f)" };

/**
 * What holds where no policy was set. Billing data is kept for 18 months, the longest minimum that we know of (US 47 CFR 42.6) and longer than
 * the 400 days in which later revisions arrive; troubleshooting data ends long before.
 */
export const DEFAULT_RETENTIONS: readonly PartRetention[] = [
  { recordPart: 1, ...BILLING, retentionDays: 550 },
  { recordPart: 2, ...TROUBLESHOOTING, retentionDays: 90 },
  { recordPart: 3, ...TROUBLESHOOTING, retentionDays: 30 },
  { recordPart: 4, ...BILLING, retentionDays: 550 },
  { recordPart: 5, ...BILLING, retentionDays: 550 },
  { recordPart: 6, purpose: "accountability", legalBasis: "GDPR 6(1)(c)", retentionDays: 730 },
];
