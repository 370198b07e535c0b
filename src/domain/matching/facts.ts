import type { Party } from "../calls/party.ts";
import type { RoundingRule } from "../carriers/carrier.ts";

// What matching knows of a record's tip. Times are milliseconds since 1970. A voided record has the
// facts of its newest report, since a VOID may have nothing but an identity.

/** One revision of one record of one side. */
export interface RecordRef {
  readonly recordId: string;
  /** `YYYY-MM-DD`, UTC. */
  readonly recordDate: string;
  readonly revision: number;
}

/** Names a record of one side in all revisions. */
export type RecordName = Pick<RecordRef, "recordId" | "recordDate">;

export function recordText({ recordDate, recordId }: RecordName): string {
  return `${recordDate}/${recordId}`;
}

/** Records in order, with revisions, as a text to compare. */
export function revisionsText(records: readonly RecordRef[]): string {
  return records.map((record) => `${recordText(record)}/${record.revision}`).join();
}

/** Signalling ids that both sides may have seen. */
export interface CorrelationIds {
  /** Call-ID of the dialog on the trunk; tags count only when both sides have them. */
  readonly dialogCallId?: string | undefined;
  readonly dialogFromTag?: string | undefined;
  readonly dialogToTag?: string | undefined;
  readonly icid?: string | undefined;
  readonly sessionId?: string | undefined;
}

export interface CommonFacts extends RecordRef {
  readonly isVoid: boolean;
  /** 1 OUTBOUND, 2 INBOUND, 0 of a VOID that was never reported. */
  readonly direction: number;
  readonly ids: CorrelationIds;
  readonly calling?: Party | undefined;
  readonly asserted?: Party | undefined;
  readonly called?: Party | undefined;
  readonly dialed?: Party | undefined;
  readonly redirecting?: Party | undefined;
  readonly inviteMs?: number | undefined;
  readonly answerMs?: number | undefined;
  readonly endMs?: number | undefined;
  readonly answered: boolean;
  readonly connectedMs?: number | undefined;
  readonly trunkId?: string | undefined;
  readonly customerId?: string | undefined;
  /** The number that the call belongs to, E.164. */
  readonly phoneNumber?: string | undefined;
  readonly ingestMs: number;
  /** When the first revision was committed. Default: ingestMs. */
  readonly firstIngestMs?: number;
}

export interface PlatformFacts extends CommonFacts {
  readonly callId?: string | undefined;
  readonly isPartial: boolean;
  readonly isEmergency: boolean;
  readonly ringingMs?: number | undefined;
  readonly ringMs?: number | undefined;
  readonly totalMs?: number | undefined;
}

/** A platform's record and how a carrier's record was paired with it. */
export interface KnownJoin {
  readonly recordId: string;
  readonly recordDate: string;
  readonly by: number;
  /** Whether neither had another candidate. */
  readonly isAlone: boolean;
}

export interface CarrierFacts extends CommonFacts {
  /** The platform's record id that the carrier sent back. */
  readonly echoedRecordId?: string | undefined;
  /** With what it was paired before a number was erased; they stay together. */
  readonly joinedTo?: KnownJoin | undefined;
  readonly billedS?: number | undefined;
  readonly roundingRule?: RoundingRule | undefined;
  /** Milliseconds, 1 or more. */
  readonly resolutionMs: number;
  readonly part?:
    | { readonly index: number; readonly count?: number | undefined; readonly isLast?: boolean | undefined }
    | undefined;
}

/** The clock offset of a carrier's trunk and UTC hour. */
export interface ClockOffset {
  /** Carrier minus platform: a multiple of 15 min and a rest of at most 7.5 min. */
  readonly offsetMs: number;
  /** A ZONE_SHIFT may include a skew. */
  readonly kind: "ZONE_SHIFT" | "CLOCK_SKEW" | "NONE";
  /** Pairs that it rests on; 0: too few. */
  readonly pairCount: number;
  /** The share of those pairs that agree, 0..1. */
  readonly ratio: number;
  /** Whether surrounding hours were needed. */
  readonly isAround?: boolean;
  /** A second offset: a clock that is set back runs through an hour twice. */
  readonly second?: ClockOffset;
}

/** A rounding rule, declared or inferred. */
export interface KnownRounding {
  readonly rule: RoundingRule;
  readonly isInferred: boolean;
  readonly pairCount: number;
  readonly ratio: number;
  /** Of a rule inferred from bills: what connected durations show. */
  readonly ofConnected?: KnownRounding;
}

/** The agreement, as far as matching needs it. */
export interface MatchingAgreement {
  readonly toleranceMs: number;
  readonly graceMs: number;
  /** The reporting scope at an instant; undefined: nothing must be reported. */
  readonly scopeAt: (
    instantMs: number,
  ) =>
    | { readonly directions: readonly number[]; readonly unanswered: boolean; readonly emergency: boolean }
    | undefined;
  readonly roundingRule?: RoundingRule | undefined;
}

/** Everything that matching depends on. */
export interface MatchingInput {
  readonly platform: readonly PlatformFacts[];
  readonly carrier: readonly CarrierFacts[];
  readonly agreement: MatchingAgreement;
  /** The offset of a record's trunk and hour, by its uncorrected start; undefined: unknown. */
  readonly offsetOf: (record: CarrierFacts) => ClockOffset | undefined;
  /** The rule inferred for a trunk and day. Stated rules come first. */
  readonly roundingOf: (record: CarrierFacts) => KnownRounding | undefined;
  readonly nowMs: number;
}
