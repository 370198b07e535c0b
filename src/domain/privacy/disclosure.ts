import { createHash } from "node:crypto";
import type { DisclosureKind, RecipientKind } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import type { LegalBasis, ProcessingPurpose } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import type { RecordKind } from "../record-kind.ts";

/** Stands where a side does: a row of the number inventory is of neither. */
export const NO_SIDE = 0 as const;

/** Most records that one disclosure names. */
export const MAX_NAMED_RECORDS = 1_000;
/** Most sequences that a block of a feed covers, and so most entries. */
export const BLOCK_SEQUENCES = 10_000n;
/**
 * Longest that a stream sends under one block, milliseconds: one that is open for much longer was
 * left by a process that is gone.
 */
export const BLOCK_MAX_AGE_MS = 3_600_000;

/** What is said of a reading besides its records: who, how and why. */
export interface DisclosureTerms {
  readonly recipientKind: RecipientKind;
  /** The identity of the credential. */
  readonly credentialId: string;
  /** Such as `tandem.carrier.v1.CdrService/StreamCdrs`. */
  readonly method: string;
  readonly kind: DisclosureKind;
  /** Of a stream or export. */
  readonly sessionId: string | undefined;
  readonly filter: DisclosedFilter;
  /** Whether numbers of other parties were masked. */
  readonly masked: boolean;
  readonly purpose: ProcessingPurpose;
  readonly legalBasis: LegalBasis;
  readonly privacyStatementVersion: string;
}

/** A request as the log keeps it. */
export interface DisclosedFilter {
  /** Canonical JSON, at most 4,096 characters. */
  readonly json: string;
  /** Whether a hash of a number is in it. */
  readonly hasNumber: boolean;
}

/** A record by its name. */
export interface RecordName {
  readonly recordId: string;
  /** `YYYY-MM-DD`. */
  readonly recordDate: string;
  readonly revision: number;
}

/**
 * What stands for a day of a customer's usage in place of a record: usage by number has no calls to
 * name. A day is the customer's.
 */
export function usageName(customerId: string): string {
  return `usage of ${customerId}`;
}

/** Which revision of a record it was does not matter to who asks for it: the key is of all. */
export function recordKey(
  carrierId: string,
  side: RecordKind["side"] | typeof NO_SIDE,
  recordId: string,
  recordDate: string,
): bigint {
  const name = `${carrierId}\0${side}\0${recordId}\0${recordDate}`;
  return createHash("sha256").update(name).digest().readBigInt64BE(0);
}
