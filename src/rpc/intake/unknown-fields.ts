import { MAX_DEPTH } from "./count-elements.ts";

/**
 * Fields that the contract does not have are skipped: if they were kept, each would be an object.
 */
export const DROP_UNKNOWN_FIELDS = {
  binaryOptions: { readUnknownFields: false, recursionLimit: MAX_DEPTH },
  jsonOptions: { recursionLimit: MAX_DEPTH },
} as const;

/**
 * For records, whose verdicts name unknown fields (RECORD_ISSUE_UNKNOWN_FIELDS). Their number was
 * checked before, and no stored record keeps them.
 */
export const KEEP_UNKNOWN_FIELDS = {
  binaryOptions: { readUnknownFields: true, recursionLimit: MAX_DEPTH },
} as const;
