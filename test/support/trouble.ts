import { randomUUID } from "node:crypto";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ingestCdrs } from "../../src/client/ingest-cdrs.ts";
import type { UploadResult } from "../../src/client/upload.ts";
import { arraySource } from "../../src/client/upload-source.ts";
import type { Carrier } from "../../src/domain/carriers/carrier.ts";
import { addDays } from "../../src/domain/time/instant.ts";
import { type AppendDurationsResponse, DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { type Discrepancy, DiscrepancyCause, DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import type { Exchange } from "./exchange.ts";
import { reconcileFully } from "./reconcile.ts";

/** The number that the carriers of these tests hold. */
export const OWN = "+441632960001";
/** The number that its calls go to, unless said. */
export const OTHER = "+441632960101";
/** 10:00 UTC, the day before yesterday. */
const TEN = Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -2)}T10:00:00Z`);

/** The instant so many seconds after 10:00, as JSON writes it. */
export function at(seconds: number): string {
  return new Date(TEN + Math.round(seconds * 1_000)).toISOString();
}

/**
 * A call of 60 s that rang for 5 s, unless said. Seconds count from 10:00; what is `undefined` is
 * left out.
 */
export interface CallSpec {
  readonly id: string;
  readonly start?: number;
  readonly ring?: number;
  /** Connected seconds. Default 60; null: nobody answered. */
  readonly talk?: number | null;
  readonly from?: JsonObject;
  readonly to?: JsonObject;
  readonly direction?: string;
  /** Other fields of the record, in JSON, in place of those that are made. */
  readonly more?: JsonObject;
}

export const e164 = (value: string): JsonObject => ({ kind: "PARTY_KIND_E164", value });
export const other = (value: string, countryCode?: string): JsonObject => ({
  kind: "PARTY_KIND_NON_E164",
  value,
  ...(countryCode === undefined ? {} : { countryCode }),
});
/** One dialog, with both tags. */
export const dialog = (callId: string): JsonObject => ({
  correlation: { interconnectDialog: { callId, fromTag: "a1", toTag: "b1" } },
});

/** The platform's record of a call. */
export function cdr(spec: CallSpec): CallDetailRecord {
  const { id, from = e164(OWN), to = e164(OTHER), more } = spec;
  const isAnswered = spec.talk !== null;
  return fromJson(CallDetailRecordSchema, {
    ...identityOf(spec),
    callId: `call-${id}`,
    parties: { calling: from, called: to },
    times: timesOf(spec),
    outcome: { finalSipCode: isAnswered ? 200 : 487 },
    ...more,
  });
}

/** The carrier's of the same. */
export function duration(spec: CallSpec): CallDuration {
  const { from = e164(OWN), to = e164(OTHER), talk = 60, more } = spec;
  return fromJson(CallDurationSchema, {
    ...identityOf(spec),
    answered: talk !== null,
    calling: from,
    called: to,
    ...timesOf(spec),
    ...(talk === null ? {} : { connectedDurationMs: String(talk * 1_000) }),
    ...more,
  });
}

/** A duration that has a bill in place of a length. */
export function bill(id: string, start: number, billedS: number, rule?: JsonObject): CallDuration {
  const record = duration({
    id,
    start,
    more: { billedDurationS: String(billedS), ...(rule && { roundingRule: rule }) },
  });
  record.connectedDurationMs = undefined;
  record.endTime = undefined;
  return record;
}

function identityOf({ id, start = 0, direction = "DIRECTION_OUTBOUND" }: CallSpec): JsonObject {
  return { recordId: id, recordDate: at(start).slice(0, 10), direction };
}

function timesOf({ start = 0, ring = 5, talk = 60 }: CallSpec): JsonObject {
  if (talk === null) return { inviteTime: at(start), endTime: at(start + ring) };
  return { inviteTime: at(start), answerTime: at(start + ring), endTime: at(start + ring + talk) };
}

/** A carrier with the two doors that records come in by, and what a user sees of them. */
export interface World {
  readonly carrierId: string;
  ingest(...records: readonly CallDetailRecord[]): Promise<UploadResult>;
  append(...records: readonly CallDuration[]): Promise<AppendDurationsResponse>;
  /** As `judgedResults`, of every record that was sent. */
  judged(): Promise<string[]>;
}

/** A carrier of its own that holds OWN, which is assigned to a customer of the carrier's name. */
export async function makeWorld(
  exchange: Exchange,
  carrierId: string,
  settings: Partial<Carrier> = {},
): Promise<World> {
  await exchange.addCarrier(carrierId, { graceMs: 0n, timeZone: "UTC", ...settings });
  await exchange.assignNumbers(carrierId, [OWN], carrierId);
  const platform = await exchange.platformClient(CdrService);
  const carrier = await exchange.carrierClient(DurationService, carrierId);
  const sent = { platform: [] as CallDetailRecord[], carrier: [] as CallDuration[] };
  return {
    carrierId,
    async ingest(...records) {
      sent.platform.push(...records);
      return ingestCdrs(platform, { carrierId, uploadId: randomUUID(), source: arraySource(records) });
    },
    async append(...records) {
      sent.carrier.push(...records);
      return carrier.appendDurations({ uploadId: randomUUID(), records: [...records] });
    },
    judged: () => judgedResults(exchange, carrierId, sent),
  };
}

/**
 * Reconciles a carrier, asks ExplainCall for each of these records, and tells each result once:
 * `p/c1+c2 STATUS CAUSE`.
 */
export async function judgedResults(
  exchange: Exchange,
  carrierId: string,
  { platform, carrier }: { platform: readonly CallDetailRecord[]; carrier: readonly CallDuration[] },
): Promise<string[]> {
  await reconcileFully(exchange.services.db, carrierId);
  const client = await exchange.platformClient(ReconciliationService);
  const told = new Set<string>();
  const explain = async (side: "platformRecordId" | "carrierRecordId", { recordId, recordDate }: RecordName) => {
    const target = { case: side, value: recordId };
    const { explanations } = await client.explainCall({ carrierId, target, recordDate });
    for (const { result } of explanations) if (result) told.add(resultText(result));
  };
  for (const record of platform) await explain("platformRecordId", record);
  for (const record of carrier) await explain("carrierRecordId", record);
  return [...told].sort();
}

type RecordName = Pick<CallDuration, "recordId" | "recordDate">;

function resultText({ platformRecord, carrierRecords, status, findings }: Discrepancy): string {
  const causes = findings.map(({ cause }) => cause);
  return tellResult({ platform: platformRecord, carrier: carrierRecords, status, causes });
}

/** What became of a call: `p/c1+c2 STATUS CAUSE`. */
export function tellResult(result: {
  readonly platform: { recordId: string } | undefined;
  readonly carrier: readonly { recordId: string }[];
  readonly status: number;
  readonly causes: readonly number[];
}): string {
  const carrier = result.carrier.map(({ recordId }) => recordId).join("+");
  // Without grace whatever comes second is late, by the time that the test took.
  const causes = result.causes.map((cause) => DiscrepancyCause[cause]).filter((cause) => cause !== "LATE");
  return [`${result.platform?.recordId ?? ""}/${carrier}`, DiscrepancyStatus[result.status], ...causes].join(" ");
}
