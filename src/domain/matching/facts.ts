import type { Party } from "../calls/party.ts";
import type { RoundingRule } from "../carriers/carrier.ts";

// What matching knows of a record: the tip of its identity, times in milliseconds since 1970, UTC.
// A voided record has the facts of the newest revision that reported the call, for a VOID may name
// no more than an identity.

/** Names one revision of one record of one side. */
export interface RecordRef {
  readonly recordId: string;
  /** `YYYY-MM-DD`, UTC. */
  readonly recordDate: string;
  readonly revision: number;
}

/** Ids of the signalling that both sides may have seen. */
export interface CorrelationIds {
  /** Call-ID of the dialog that crosses the trunk; tags only tell when both sides have them. */
  readonly dialogCallId?: string | undefined;
  readonly dialogFromTag?: string | undefined;
  readonly dialogToTag?: string | undefined;
  readonly icid?: string | undefined;
  readonly sessionId?: string | undefined;
}

/** What both sides' records have in common. */
export interface CommonFacts extends RecordRef {
  readonly isVoid: boolean;
  /** 1 OUTBOUND, 2 INBOUND; 0 of a VOID whose call was never reported. */
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
  /** The number that the call is attributed to, E.164. */
  readonly phoneNumber?: string | undefined;
  /** Position in its feed, and when Tandem committed it. */
  readonly sequence: bigint;
  readonly ingestMs: number;
  /**
   * When the first revision of its identity was committed: a correction does not make a record
   * late. Absent: as ingestMs.
   */
  readonly firstIngestMs?: number;
}

/** A call detail record: the platform's side. */
export interface PlatformFacts extends CommonFacts {
  readonly callId?: string | undefined;
  readonly isPartial: boolean;
  readonly isEmergency: boolean;
  readonly ringingMs?: number | undefined;
  readonly ringMs?: number | undefined;
  readonly totalMs?: number | undefined;
}

/** With which record of the platform's one of the carrier's was paired, and how. */
export interface KnownJoin {
  readonly recordId: string;
  readonly recordDate: string;
  /** A MatchedBy. */
  readonly by: number;
  /** Whether nothing else could have been paired with either of both. */
  readonly isAlone: boolean;
}

/** A call duration: the carrier's side. */
export interface CarrierFacts extends CommonFacts {
  /** The platform's record id that the carrier sent back. */
  readonly echoedRecordId?: string | undefined;
  /**
   * The platform's record that it was paired with before a number of either was erased: they stay
   * together, whatever is left to compare.
   */
  readonly joinedTo?: KnownJoin | undefined;
  readonly billedS?: number | undefined;
  readonly roundingRule?: RoundingRule | undefined;
  /** Resolution of its times, milliseconds, 1 or more. */
  readonly resolutionMs: number;
  readonly part?:
    | { readonly index: number; readonly count?: number | undefined; readonly isLast?: boolean | undefined }
    | undefined;
}

/** The clock offset of a carrier's trunk and UTC hour. */
export interface ClockOffset {
  /** Carrier minus platform: a multiple of 900,000, and a rest of at most 450,000 either way. */
  readonly offsetMs: number;
  /** A zone shift may have a rest, which is a skew. */
  readonly kind: "ZONE_SHIFT" | "CLOCK_SKEW" | "NONE";
  /** Unambiguous pairs that it was judged by; 0: there were too few. */
  readonly pairCount: number;
  /** The share of those pairs that agree, 0..1. */
  readonly ratio: number;
  /** Whether pairs of the hours around had to be asked as well. */
  readonly isAround?: boolean;
  /**
   * Another that calls of the same hour have: a clock that is set back runs through an hour twice,
   * once off and once right.
   */
  readonly second?: ClockOffset;
}

/**
 * A rounding rule, and whether it was inferred from the carrier's trunk and day instead of
 * declared.
 */
export interface KnownRounding {
  readonly rule: RoundingRule;
  readonly isInferred: boolean;
  readonly pairCount: number;
  readonly ratio: number;
  /** Of a rule that bills show: what the connected durations beside them show. */
  readonly ofConnected?: KnownRounding;
}

/** What was agreed with the carrier, as matching needs it. */
export interface MatchingAgreement {
  readonly toleranceMs: number;
  readonly graceMs: number;
  /** In force at an instant; undefined: nothing has to be reported then. */
  readonly scopeAt: (
    instantMs: number,
  ) =>
    | { readonly directions: readonly number[]; readonly unanswered: boolean; readonly emergency: boolean }
    | undefined;
  /** Declared. */
  readonly roundingRule?: RoundingRule | undefined;
}

/** Everything that a run of the matcher depends on. */
export interface MatchingInput {
  readonly platform: readonly PlatformFacts[];
  readonly carrier: readonly CarrierFacts[];
  readonly agreement: MatchingAgreement;
  /**
   * The offset of the trunk and hour of a carrier's record (by its own, uncorrected start).
   * Undefined: nothing to judge it by.
   */
  readonly offsetOf: (record: CarrierFacts) => ClockOffset | undefined;
  /**
   * The rule of a carrier's trunk and day, inferred; a record's own or the declared one goes before
   * it.
   */
  readonly roundingOf: (record: CarrierFacts) => KnownRounding | undefined;
  readonly nowMs: number;
}
