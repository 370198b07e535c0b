/** A part of what is stored: the numbers of tandem.type.v1.RecordPart. */
export const RecordPart = { CALL: 1, QUALITY: 2, NETWORK: 3, DURATION: 4, NUMBER_HISTORY: 5, LOGS: 6 } as const;
export type RecordPart = (typeof RecordPart)[keyof typeof RecordPart];
export const ALL_PARTS: readonly RecordPart[] = Object.values(RecordPart);

/** What a part is kept for: the numbers of tandem.platform.v1.ProcessingPurpose. */
export const Purpose = {
  TROUBLESHOOTING: 1,
  USAGE_AND_BILLING: 2,
  RECONCILIATION: 3,
  LEGAL_OBLIGATION: 4,
  ACCOUNTABILITY: 5,
} as const;
export type Purpose = (typeof Purpose)[keyof typeof Purpose];
export const ALL_PURPOSES: readonly Purpose[] = Object.values(Purpose);

/** On what ground: the numbers of tandem.platform.v1.LegalBasis. */
export const LegalBasis = { CONTRACT: 1, LEGAL_OBLIGATION: 2, LEGITIMATE_INTERESTS: 3, CONSENT: 4 } as const;
export type LegalBasis = (typeof LegalBasis)[keyof typeof LegalBasis];
