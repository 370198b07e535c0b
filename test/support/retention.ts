import { create } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { LegalBasis, ProcessingPurpose } from "../../src/gen/tandem/platform/v1/retention_policy_pb.js";
import type { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { applyRetention, type RetentionOutcome } from "../../src/jobs/retention.ts";
import { type Database, ownerTransaction } from "../../src/store/database/database.ts";
import { newRequestId } from "./numbers.ts";

export const DAY_MS = 86_400_000;

/** The number that all calls of these tests are of. */
export const SUBSCRIBER = "+441632960055";

/** So many days ago. */
export function daysAgo(days: number): number {
  return Date.now() - days * DAY_MS;
}

/** The UTC day so many days ago, as record_date has it. */
export function dayAgo(days: number): string {
  return new Date(daysAgo(days)).toISOString().slice(0, 10);
}

/** A call so many days ago, with a measured stream and network identifiers. */
export function oldCdr(recordId: string, days: number, trunkId = "trunk-1"): CallDetailRecord {
  const inviteMs = daysAgo(days);
  return create(CallDetailRecordSchema, {
    recordId,
    recordDate: dayAgo(days),
    callId: `call-${recordId}`,
    direction: 1,
    parties: { calling: { kind: 1, value: SUBSCRIBER }, called: { kind: 1, value: "+12025550123" } },
    times: callTimes(inviteMs),
    outcome: { finalSipCode: 200 },
    route: { trunkId },
    streamQualities: [{ edge: 1, direction: 1, packetsSent: 3_000n, lossRatioAvg: 0.4, mosLq: 2.1 }],
    networkIdentifiers: { platformMediaAddress: "192.0.2.7" },
  });
}

/** The carrier's record of the same call. */
export function oldDuration(recordId: string, days: number, trunkId = "trunk-1"): CallDuration {
  const inviteMs = daysAgo(days);
  return create(CallDurationSchema, {
    recordId,
    recordDate: dayAgo(days),
    direction: 1,
    calling: { kind: 1, value: SUBSCRIBER },
    called: { kind: 1, value: "+12025550123" },
    ...callTimes(inviteMs),
    connectedDurationMs: 60_000n,
    answered: true,
    trunkId,
  });
}

/** Runs retention once, as the job does. */
export function retain(db: Database, more: { now?: number; holder?: string } = {}): Promise<RetentionOutcome> {
  const { now, holder = "test" } = more;
  return applyRetention(
    {
      db,
      intervalMs: 0,
      batchSize: 3,
      rest: 0,
      ...(now === undefined ? {} : { now: microsFromMs(now) }),
      onError: (error) => {
        throw error;
      },
    },
    holder,
    new AbortController().signal,
  );
}

/** A policy of one carrier, as a request has it. */
export function policyOf(countryCode: string, carrierId: string, recordPart: RecordPart, retentionDays: number) {
  return {
    requestId: newRequestId(),
    policy: {
      countryCode,
      carrierId,
      recordPart,
      purpose: (recordPart === 2 || recordPart === 3
        ? ProcessingPurpose.TROUBLESHOOTING
        : ProcessingPurpose.USAGE_AND_BILLING) as ProcessingPurpose,
      legalBasis: LegalBasis.CONTRACT,
      retentionDays,
      source: "agreed with the carrier",
      privacyStatementVersion: "1",
    },
  };
}

/** How many rows of a carrier a table has. */
export async function countRows(db: Database, table: string, carrierId: string): Promise<number> {
  const { rows } = await ownerTransaction(db, (tx) =>
    sql<{ count: bigint }>`SELECT count(*) FROM ${sql.table(table)} WHERE carrier_id = ${carrierId}`.execute(tx),
  );
  return Number(rows[0]?.count);
}

function callTimes(inviteMs: number) {
  const at = (ms: number) => ({ seconds: BigInt(Math.floor(ms / 1_000)), nanos: 0 });
  return { inviteTime: at(inviteMs), answerTime: at(inviteMs + 4_000), endTime: at(inviteMs + 64_000) };
}
