import { createHash } from "node:crypto";
import type { DisclosureKind, RecipientKind } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import type { LegalBasis, ProcessingPurpose } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import type { RecordKind } from "../record-kind.ts";

/** Stands where a side does: a row of the number inventory is of neither. */
export const NO_SIDE = 0 as const;

export const MAX_NAMED_RECORDS = 1_000;
/** Sequences of a block. */
export const BLOCK_SEQUENCES = 10_000n;
/** Longest use of a block, milliseconds. One open for much longer was left by a dead process. */
export const BLOCK_MAX_AGE_MS = 3_600_000;

/** Who read, how and why. */
export interface DisclosureTerms {
  readonly recipientKind: RecipientKind;
  readonly credentialId: string;
  /** Such as `tandem.carrier.v1.CdrService/StreamCdrs`. */
  readonly method: string;
  readonly kind: DisclosureKind;
  /** Set for streams and exports. */
  readonly sessionId: string | undefined;
  readonly filter: DisclosedFilter;
  /** Whether others' numbers were masked. */
  readonly masked: boolean;
  readonly purpose: ProcessingPurpose;
  readonly legalBasis: LegalBasis;
  readonly privacyStatementVersion: string;
}

export interface DisclosedFilter {
  /** Canonical JSON, at most 4,096 characters. */
  readonly json: string;
  readonly hasNumber: boolean;
}

export interface RecordName {
  readonly recordId: string;
  /** `YYYY-MM-DD`. */
  readonly recordDate: string;
  readonly revision: number;
}

/** Names a customer's day of usage, since usage by number has no calls to name. */
export function usageName(customerId: string): string {
  return `usage of ${customerId}`;
}

/** A key of all revisions of a record. */
export function recordKey(
  carrierId: string,
  side: RecordKind["side"] | typeof NO_SIDE,
  recordId: string,
  recordDate: string,
): bigint {
  const name = `${carrierId}\0${side}\0${recordId}\0${recordDate}`;
  return createHash("sha256").update(name).digest().readBigInt64BE(0);
}
