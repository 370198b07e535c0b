import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import type { ErrorReason } from "../errors.ts";
import { isoFromMicros, type Micros } from "../time/instant.ts";
import type { AuditedRequestId } from "./audited-request-id.ts";
import { maskInternational, maskNumbers } from "./masking.ts";

/** An administrative act, without any person's number. */
export interface AuditAct {
  /** The chain; absent: the platform's. */
  readonly carrierId?: string | undefined;
  /** The credential's identity, or `cli:` and the operating system's user. */
  readonly actor: string;
  /** The method, as `tandem.platform.v1.PrivacyService/CreateHold`, or `cli/` and the command. */
  readonly method: string;
  /** What it was done to, as `hold/7f3a`; for numbers, how many. Cut at 256 characters. */
  readonly resource: string;
  /** Default: DONE. */
  readonly outcome?: AuditOutcome | undefined;
  /** Absent when done. */
  readonly errorReason?: ErrorReason | undefined;
  /** Absent when the call has none. */
  readonly requestId?: AuditedRequestId | undefined;
  /** Paths of changed fields; the first 100 are kept. */
  readonly changedFields?: readonly string[] | undefined;
  /** JSON values without bigint and undefined; at most 4,096 characters as canonical JSON. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** An act in its chain: what is hashed. */
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
  /** Hash of the event before, or {@link NO_HASH}. */
  readonly previousHash: Uint8Array;
}

export interface AuditEvent extends ChainedAct {
  readonly entryHash: Uint8Array;
}

/** Precedes the first event of a chain. */
export const NO_HASH: Uint8Array = new Uint8Array(32);

const MAX_RESOURCE = 256;
const MAX_CHANGED_FIELDS = 100;
const MAX_DETAILS = 4_096;

/** Adds an act to a chain, with numbers masked. Throws when details are too long or not JSON. */
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
    outcome: act.outcome ?? AuditOutcome.DONE,
    errorReason: act.errorReason,
    requestId: act.requestId,
    changedFields: (act.changedFields ?? []).slice(0, MAX_CHANGED_FIELDS),
    detailsJson,
  };
  return { ...chained, entryHash: hashEvent(chained) };
}

/** Details that are ours: only marked numbers are masked. Others may be a person's words. */
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

/** SHA-256 over the previous hash and the canonical ProtoJSON without entry_hash. */
export function hashEvent(event: ChainedAct): Uint8Array {
  return createHash("sha256")
    .update(event.previousHash)
    .update(canonicalJson(protoJsonOf(event)))
    .digest();
}

/** RFC 8785. Throws on what JSON cannot express, lone surrogates included. */
export function canonicalJson(value: unknown): string {
  const json = canonicalize(value);
  if (json === undefined) throw new Error("canonicalJson: expected a JSON value");
  return json;
}

/** ProtoJSON without entry_hash, by hand: the domain knows no messages. Tested against theirs. */
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

// ProtoJSON writes zero, three, six or nine decimals, as few as suffice.
function protoTime(time: Micros): string {
  return isoFromMicros(time)
    .replace(/(\.\d{3})000Z$/, "$1Z")
    .replace(".000Z", "Z");
}
