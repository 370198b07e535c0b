import { MAX_DEPTH } from "./count-elements.ts";

/** Fields that the contract does not have are passed over: kept, each would be an object. */
export const DROP_UNKNOWN_FIELDS = {
  binaryOptions: { readUnknownFields: false, recursionLimit: MAX_DEPTH },
  jsonOptions: { recursionLimit: MAX_DEPTH },
} as const;

/**
 * Of records, whose verdicts name them (RECORD_ISSUE_UNKNOWN_FIELDS). How many there may be was
 * counted before, and no record keeps them.
 */
export const KEEP_UNKNOWN_FIELDS = {
  binaryOptions: { readUnknownFields: true, recursionLimit: MAX_DEPTH },
} as const;
