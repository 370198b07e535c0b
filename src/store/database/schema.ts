import type { ColumnType, Generated } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";

/** A timestamptz: read as microseconds, written as ISO text (`isoFromMicros`) or as SQL. */
type Time = ColumnType<Micros, string, string>;
type OptionalTime = ColumnType<Micros | null, string | null, string | null>;

/**
 * The tables that builders query, as the migrations make them. Other SQL names the types of its
 * rows itself; schema.sql has every table. int8 is bigint, date is `YYYY-MM-DD`.
 */
export interface Schema {
  carrier: {
    carrier_id: string;
    revision: bigint;
    display_name: string;
    legal_country: string;
    time_zone: string;
    region: string;
    /** Null: the platform's own, from the settings. */
    sip_domain: string | null;
    suspended: boolean;
    settings: ColumnType<unknown, string, string>;
    create_time: Time;
    update_time: Time;
  };
  carrier_credential: { identity: string; carrier_id: string; expire_time: Time };
  /** Every identity that is or ever was a carrier's. */
  carrier_identity: { identity: string; carrier_id: string };
  feed_head: {
    carrier_id: string;
    feed: number;
    epoch: bigint;
    next_sequence: bigint;
    earliest_sequence: bigint;
    last_ingest_time: Time;
    payload_generation: bigint;
    /** What was acknowledged since then may be lost: of the newest epoch that began for a loss. */
    lost_since: OptionalTime;
    /** The timeline on which that epoch began; 0 where it was not known. */
    lost_timeline: bigint | null;
    /** Up to here an ingest time ahead of the clock was accepted by an operator. */
    accepted_ingest_time: OptionalTime;
  };
  /** What a carrier has a most of: carrier-tally.ts. */
  carrier_tally: { carrier_id: string; what: number; held: bigint };
  /** Whose range a number lies in, by E.164 prefix; the longest decides. */
  number_range: { prefix: string; carrier_id: string };
  /** Single numbers that a carrier may provision wherever they lie. */
  number_approval: { carrier_id: string; phone_number: string };
  number_owner: { phone_number: string; carrier_id: string; claim_time: Time; in_transit: boolean };
  phone_number: {
    carrier_id: string;
    phone_number: string;
    state: number;
    customer_id: string | null;
    country_code: string | null;
    revision: bigint;
    recorded_time: Time;
    /**
     * Of the claim in number_owner that the number was last held by; releasing frees no later one.
     */
    claim_time: Time;
    payload: Buffer;
  };
  /** Periods of one holding and one assignment; scheduled ones have revision 0. */
  number_holding: {
    carrier_id: string;
    phone_number: string;
    start_time: Time;
    end_time: Time;
    /** When the carrier got the number; the same in all periods of one holding. */
    holding_start_time: Time;
    /** The customer that it was assigned to; null while it was assigned to nobody. */
    customer_id: string | null;
    /** Of the last period of a holding that is over: 3 RELEASED, 4 PORTED_OUT. */
    ended_as: number | null;
    revision: bigint;
    recorded_time: Time;
    detail: ColumnType<unknown, string, string>;
  };
  number_port: {
    carrier_id: string;
    phone_number: string;
    port_id: string;
    /** 1: carrier_id loses the number; 2: it gains it, written when it has. */
    role: number;
    other_carrier_id: string;
    effective_time: Time;
    /** 1: scheduled; 2: the losing carrier no longer holds it; 3: done. */
    stage: number;
    /** Who ordered it, of role 1. */
    ordered_by: string | null;
    /** Periods on their way to the gaining carrier, in stage 2. */
    moved: ColumnType<unknown, string | null, string | null>;
  };
  upload: {
    carrier_id: string;
    kind: number;
    upload_id: string;
    next_offset: bigint;
    writer_epoch: bigint;
    sealed: boolean;
    seal_time: OptionalTime;
    finished: boolean;
    accepted: bigint;
    duplicate: bigint;
    conflict: bigint;
    superseded: bigint;
    rejected: bigint;
    quarantined: bigint;
    stored_rejects: bigint;
    connected_duration_ms: ColumnType<bigint, string, string>;
    create_time: Time;
    update_time: Time;
  };
  upload_batch: {
    carrier_id: string;
    kind: number;
    upload_id: string;
    first_offset: bigint;
    record_count: number;
    verdicts: Buffer;
    hashes: Buffer;
    create_time: Time;
  };
  upload_reject: {
    carrier_id: string;
    kind: number;
    upload_id: string;
    record_offset: bigint;
    record_id: string;
    verdict: number;
    issue: number;
    field_path: string | null;
    message: string;
    retryable: boolean;
    record_json: string;
    create_time: Time;
  };
  quarantine: {
    carrier_id: string;
    kind: number;
    record_id: string;
    record_date: string;
    revision: number;
    content_hash: bigint;
    upload_id: string;
    record_offset: bigint;
    issue: number;
    numbers: string[];
    start_time: OptionalTime;
    judged_numbers_sequence: bigint;
    payload: Buffer;
    create_time: Time;
  };
  cdr_consumer: {
    carrier_id: string;
    consumer: string;
    committed_sequence: bigint;
    cursor: string;
    commit_time: Time;
  };
  /** One row a call: what reconciliation found; see domain/matching/result.ts. */
  call_result: {
    carrier_id: string;
    /** 1: named by the platform's record; 2: by the carrier's first. */
    side: number;
    record_id: string;
    record_date: string;
    revision: number;
    carrier_record_ids: string[];
    carrier_record_dates: string[];
    carrier_revisions: number[];
    start_time: Time;
    /** The call's day in the time zone agreed with the carrier. */
    call_date: string;
    /** A MatchStatus. */
    status: number;
    /** Bit n: MatchCause n. */
    causes: number;
    /** 0: there is no pair. */
    matched_by: number;
    /** 0: not pending. */
    pending_reason: number;
    /** Without a counterpart, or disagreeing: what later records may still pair with. */
    is_open: boolean;
    /** Its carrier's record is in another row by now: it counts nowhere. */
    is_merged: boolean;
    /** When time alone changes it. */
    due_time: OptionalTime;
    direction: number;
    phone_number: string | null;
    /** As attributed when the record came; usage goes by the assignments as they stand. */
    customer_id: string | null;
    trunk_id: string | null;
    call_id: string | null;
    other_number: string | null;
    other_country: string | null;
    /** Null: that side has no record. */
    platform_answered: boolean | null;
    carrier_answered: boolean | null;
    platform_ms: bigint | null;
    carrier_ms: bigint | null;
    billed_s: bigint | null;
    /** The trunk, and when the call began by the carrier's clock, when it has a record. */
    clock_trunk: string | null;
    clock_time: OptionalTime;
    vote_ms: bigint | null;
    /** Of open rows: direction and numbers, hashed. */
    pair_key: bigint | null;
    /** Of pairs that begin far from each other: the name of the carrier's record, hashed. */
    correlation_key: bigint | null;
    /** Hashed ids under which records would be of this call, or take a record of it; null: none. */
    id_keys: bigint[] | null;
    /** Over all that a reader sees; unchanged: nothing is written. */
    result_hash: bigint;
    /** When the newest of its records was committed. */
    arrival_time: Time;
    update_time: Time;
    /** Null: it never disagreed. */
    discrepancy_id: string | null;
    discrepancy_revision: number;
    first_seen_time: OptionalTime;
    resolved_time: OptionalTime;
    /** Of its newest entry in the discrepancy feed. */
    sequence: bigint | null;
    /** The encoded Discrepancy, of one that is or was. */
    payload: Buffer | null;
    /** A party of it was erased: its records stay together. */
    is_erased: Generated<boolean>;
    /** Of a call whose number was erased: the customer that it counted for then. */
    usage_customer_id: ColumnType<string | null, string | null | undefined, string | null>;
  };
  discrepancy_entry: {
    carrier_id: string;
    sequence: bigint;
    ingest_time: Time;
    /** 1: a discrepancy; 2: an erasure. */
    entry_kind: number;
    discrepancy_id: string | null;
    status: number | null;
    causes: number | null;
    customer_id: string | null;
    trunk_id: string | null;
    direction: number | null;
    unresolved: boolean | null;
    absolute_delta_ms: bigint | null;
    previous_status: number | null;
    previous_causes: number | null;
    previous_customer_id: string | null;
    previous_trunk_id: string | null;
    previous_direction: number | null;
    previous_unresolved: boolean | null;
    previous_absolute_delta_ms: bigint | null;
    payload: Buffer;
  };
  reconcile_position: {
    carrier_id: string;
    /** Judged up to there. */
    cdr_sequence: bigint;
    duration_sequence: bigint;
    /** Looked at up to there: what these records touch is marked. */
    marked_cdr_sequence: Generated<bigint>;
    marked_duration_sequence: Generated<bigint>;
    cdr_epoch: bigint;
    duration_epoch: bigint;
    agreement_revision: bigint;
    rule_version: number;
    reconciled_through: Time;
    update_time: Time;
    /** Until when all records that had come are marked; null once their minutes are worked off. */
    marked_through: ColumnType<Micros | null, string | null | undefined, string | null>;
  };
  clock_offset: {
    carrier_id: string;
    trunk_id: string;
    hour: Time;
    /** How many pairs say so, by milliseconds. */
    votes: ColumnType<Record<string, number>, string, string>;
  };
  rounding_vote: {
    carrier_id: string;
    trunk_id: string;
    day: string;
    votes: ColumnType<Record<string, number>, string, string>;
  };
  usage_period: {
    period_id: string;
    customer_id: string;
    start_date: string;
    end_date: string;
    time_zone: string;
    /** When it began and ended, as zone_day had it at the closing. */
    start_time: Time;
    end_time: Time;
    close_time: Time;
    closed_by: string;
    restatement_number: number;
    checked_time: Time;
    completeness: Buffer;
    /** How far, and by which rules, its carriers were judged at the last comparison. */
    judged: ColumnType<unknown, string, string>;
    /** Attempts, answered, connected milliseconds, calls with billed seconds, billed seconds. */
    closed_totals: ColumnType<string[], Buffer, never>;
    current_totals: ColumnType<string[], Buffer, Buffer>;
  };
  audit_chain: {
    /** '': the platform's. */
    carrier_id: string;
    /** The oldest event that is kept; raised by retention. */
    first_sequence: bigint;
    /** Says nothing: it is written so that one transaction appends at a time. */
    turns: Generated<bigint>;
  };
  /** Where each chain ends: its highest. Appended with the events. */
  audit_head: { carrier_id: string; sequence: bigint; entry_hash: Buffer; event_time: Time };
  audit_event: {
    carrier_id: string;
    sequence: bigint;
    event_time: Time;
    actor: string;
    method: string;
    resource: string;
    outcome: number;
    error_reason: string | null;
    request_id: string | null;
    changed_fields: string[];
    details_json: string;
    previous_hash: Buffer;
    entry_hash: Buffer;
  };
  /** What somebody has set; see domain/privacy/retention-law.ts for what holds otherwise. */
  retention_policy: {
    country_code: string;
    /** '': the country's. */
    carrier_id: string;
    record_part: number;
    purpose: number;
    legal_basis: number;
    retention_days: number;
    source: string;
    privacy_statement_version: string;
    revision: bigint;
    update_time: Time;
    updated_by: string;
  };
  /** How far retention has come with a carrier: before which arrival each part is gone. */
  retention_state: {
    carrier_id: string;
    /** Counts the holds that were made. */
    hold_generation: Generated<bigint>;
    call_before: Time;
    quality_before: Time;
    network_before: Time;
    duration_before: Time;
    /** Records below it no longer tell the verdict on their quality. */
    verdict_sequence: Generated<bigint>;
    /** Keys of earlier days may be gone. */
    keys_from: string;
  };
}
