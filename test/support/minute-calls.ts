import { create } from "@bufbuild/protobuf";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import type { Database } from "../../src/store/database/database.ts";
import { addCarrier, assignNumbers } from "./carriers.ts";
import { call, NUMBER, timestamp } from "./feed.ts";
import { readAllResults, reconcileFully } from "./reconcile.ts";

const MINUTE_MS = 60_000;

/** The platform's record of a call of 60 s that rang for 5 s. */
export function cdr(
  recordId: string,
  startMs: number,
  changes: { dialog?: string; called?: string; isVoid?: boolean } = {},
) {
  const { dialog, called = "+12025550123", isVoid = false } = changes;
  if (isVoid) return call(recordId, { kind: RecordKind.VOID, revision: 2 }, startMs);
  return call(
    recordId,
    {
      parties: { calling: { kind: 1, value: NUMBER }, called: { kind: 1, value: called } },
      ...(dialog === undefined ? {} : { correlation: { interconnectDialog: { callId: dialog } } }),
    },
    startMs,
  );
}

export interface DurationChanges {
  dialog?: string;
  called?: string;
  revision?: number;
  connectedMs?: number;
  /** Instead of the end and the connected duration. */
  billedS?: number;
  kind?: RecordKind;
}

/** The carrier's of the same. */
export function duration(recordId: string, startMs: number, changes: DurationChanges = {}): CallDuration {
  const { dialog, called = "+12025550123", revision = 1, connectedMs = MINUTE_MS, kind = RecordKind.REPORT } = changes;
  return create(CallDurationSchema, {
    recordId,
    recordDate: new Date(startMs).toISOString().slice(0, 10),
    revision,
    kind,
    direction: 1,
    answered: true,
    calling: { kind: 1, value: NUMBER },
    called: { kind: 1, value: called },
    inviteTime: timestamp(startMs),
    answerTime: timestamp(startMs + 5_000),
    ...(changes.billedS === undefined
      ? { endTime: timestamp(startMs + 5_000 + connectedMs), connectedDurationMs: BigInt(connectedMs) }
      : { billedDurationS: BigInt(changes.billedS) }),
    ...(dialog === undefined ? {} : { correlation: { interconnectDialog: { callId: dialog } } }),
  });
}

/** Reconciles, and tells `platform/carrier+carrier STATUS` of every result that stands. */
export async function reconciledCalls(db: Database, carrierId: string): Promise<string[]> {
  await reconcileFully(db, carrierId);
  const rows = (await readAllResults(db, carrierId)).filter((row) => !row.isMerged);
  return rows
    .map((row) => {
      const carrier = row.carrierRecords.map(({ recordId }) => recordId).join("+");
      return `${row.side === PLATFORM_SIDE ? `${row.recordId}/` : ""}${carrier} ${DiscrepancyStatus[row.status]}`;
    })
    .sort();
}

/** A carrier without a grace that holds `NUMBER`: what is missing is missing at once. */
export async function addReconciledCarrier(db: Database, carrierId: string, customerId = "customer-1"): Promise<void> {
  await addCarrier(db, carrierId, { graceMs: 0n, timeZone: "UTC" });
  await assignNumbers(db, carrierId, [NUMBER], customerId);
}
