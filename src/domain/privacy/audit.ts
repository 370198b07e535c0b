import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import type { ErrorReason } from "../errors.ts";
import { isoFromMicros, type Micros } from "../time/instant.ts";
import type { AuditedRequestId } from "./audited-request-id.ts";
import { maskInternational, maskNumbers } from "./masking.ts";

/** An administrative act, as whoever carries it out tells it. It names no person's number. */
export interface AuditAct {
  /** Whose chain; undefined: the platform's. */
  readonly carrierId: string | undefined;
  /** The identity of the credential, or `cli:` and the operating system's user. */
  readonly actor: string;
  /** The method, as `tandem.platform.v1.PrivacyService/CreateHold`, or `cli/` and the command. */
  readonly method: string;
  /**
   * The kind and the id of what it was done to, as `hold/7f3a`; of numbers, how many. Cut at 256
   * characters.
   */
  readonly resource: string;
  readonly outcome: AuditOutcome;
  /** Absent when done. */
  readonly errorReason?: ErrorReason | undefined;
  /** Absent when the call has none. */
  readonly requestId?: AuditedRequestId | undefined;
  /** Paths of the fields that changed. The first 100 are kept. */
  readonly changedFields?: readonly string[] | undefined;
  /**
   * Further facts: JSON values, no bigint, no undefined; at most 4,096 characters as canonical
   * JSON.
   */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** An act with its place in a chain, and what of the hash is hashed. */
export interface ChainedAct {
  readonly carrierId: string | undefined;
  /** From 1, dense. */
  readonly sequence: bigint;
  readonly eventTime: Micros;
  readonly actor: string;
  readonly method: string;
  readonly resource: string;
  readonly outcome: AuditOutcome;
  readonly errorReason: string | undefined;
  readonly requestId: string | undefined;
  readonly changedFields: readonly string[];
  readonly detailsJson: string;
  /** The entry hash of the event before; of the first, {@link NO_HASH}. */
  readonly previousHash: Uint8Array;
}

/** An audit event. */
export interface AuditEvent extends ChainedAct {
  readonly entryHash: Uint8Array;
}

/** What the first event of a chain follows: 32 zero bytes. */
export const NO_HASH: Uint8Array = new Uint8Array(32);

const MAX_RESOURCE = 256;
const MAX_CHANGED_FIELDS = 100;
const MAX_DETAILS = 4_096;

/**
 * Puts an act into its place behind the event before it. Numbers in what people wrote are masked
 * here, for no erasure may touch a chain. Throws when its details are too long, or no JSON: a
 * mistake of the caller.
 */
export function chainAct(
  act: AuditAct,
  place: { sequence: bigint; eventTime: Micros; previousHash: Uint8Array },
): AuditEvent {
  const detailsJson = canonicalJson(maskDetails(act.details ?? {}));
  if (detailsJson.length > MAX_DETAILS) throw new Error(`audit details of ${act.method} are over ${MAX_DETAILS}`);
  const chained: ChainedAct = {
    ...place,
    carrierId: act.carrierId,
    actor: maskInternational(act.actor),
    method: act.method,
    resource: maskInternational([...act.resource].slice(0, MAX_RESOURCE).join("")),
    outcome: act.outcome,
    errorReason: act.errorReason,
    requestId: act.requestId,
    changedFields: (act.changedFields ?? []).slice(0, MAX_CHANGED_FIELDS),
    detailsJson,
  };
  return { ...chained, entryHash: hashEvent(chained) };
}

/**
 * Details of our own: ids by which an act is found, days and times, names of the contract. In these
 * only what says that it is a number is masked; all others may be words of a person.
 */
const OURS: ReadonlySet<string> = new Set([
  ...[
    "revision",
    "state",
    "customer_id",
    "from_carrier_id",
    "to_carrier_id",
    "credentials_added",
    "credentials_removed",
  ],
  ...["start_date", "end_date", "start_time", "end_time", "effective_time", "time_zone"],
]);

function maskDetails(value: unknown, name = ""): unknown {
  if (typeof value === "string") return OURS.has(name) ? maskInternational(value) : maskNumbers(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => maskDetails(item, name));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskDetails(item, key)]));
}

/**
 * The hash of an event: SHA-256 over the hash before it and the canonical JSON of its ProtoJSON
 * without entry_hash (audit_event.proto).
 */
export function hashEvent(event: ChainedAct): Uint8Array {
  return createHash("sha256")
    .update(event.previousHash)
    .update(canonicalJson(protoJsonOf(event)))
    .digest();
}

/**
 * JSON with one spelling only: RFC 8785. Throws on what JSON cannot say, lone surrogates included.
 */
export function canonicalJson(value: unknown): string {
  const json = canonicalize(value);
  if (json === undefined) throw new Error("canonicalJson: expected a JSON value");
  return json;
}

/**
 * The event's ProtoJSON, without entry_hash. By hand, since the domain knows no messages; a test
 * compares it with theirs.
 */
export function protoJsonOf(event: ChainedAct): Record<string, unknown> {
  return {
    carrierId: event.carrierId,
    sequence: String(event.sequence),
    eventTime: protoTime(event.eventTime),
    actor: event.actor || undefined,
    method: event.method || undefined,
    resource: event.resource || undefined,
    outcome: `AUDIT_OUTCOME_${AuditOutcome[event.outcome]}`,
    errorReason: event.errorReason,
    requestId: event.requestId,
    changedFields: event.changedFields.length > 0 ? event.changedFields : undefined,
    detailsJson: event.detailsJson || undefined,
    previousHash: Buffer.from(event.previousHash).toString("base64"),
  };
}

// ProtoJSON writes no, three, six or nine decimals, whichever says it all.
function protoTime(time: Micros): string {
  return isoFromMicros(time)
    .replace(/(\.\d{3})000Z$/, "$1Z")
    .replace(".000Z", "Z");
}
