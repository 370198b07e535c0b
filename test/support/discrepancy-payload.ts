import { create, toBinary } from "@bufbuild/protobuf";
import { enumValues } from "../../src/domain/enum-values.ts";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { timestampFromMicros } from "../../src/domain/time/instant.ts";
import { DiscrepancyCause, DiscrepancySchema } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { timestamp } from "./feed.ts";
import type { ResultRow } from "./rows.ts";

/** The payload of a row, as the reconciler encodes it: everything but sequence and update_time. */
export function encodeDiscrepancy(row: ResultRow): Buffer {
  const causes = enumValues(DiscrepancyCause).filter((cause) => (row.causes & (1 << cause)) !== 0);
  const startMs = Date.parse(row.start_time);
  const [outside, inside] = [
    { kind: 1, value: row.other_number ?? "+12025550123" },
    { kind: 1, value: row.phone_number ?? "+441632960001" },
  ];
  const message = create(DiscrepancySchema, {
    discrepancyId: row.discrepancy_id ?? "",
    carrierId: row.carrier_id,
    revision: row.discrepancy_revision,
    status: row.status,
    matchedBy: row.matched_by,
    direction: row.direction,
    callDate: row.call_date,
    pendingReason: row.pending_reason,
    toleranceMs: 2_000n,
    ruleVersion: 1,
    ...(row.customer_id == null ? {} : { customerId: row.customer_id }),
    ...(row.trunk_id == null ? {} : { trunkId: row.trunk_id }),
    ...(row.call_id == null ? {} : { callId: row.call_id }),
    findings: causes.map((cause) => ({ cause })),
    ...(row.side === PLATFORM_SIDE
      ? { platformRecord: { recordId: row.record_id, recordDate: row.record_date, revision: row.revision } }
      : {}),
    carrierRecords: row.carrier_record_ids.map((recordId, index) => ({
      recordId,
      recordDate: row.carrier_record_dates[index] ?? "",
      revision: row.carrier_revisions[index] ?? 1,
    })),
    calling: row.direction === 1 ? inside : outside,
    called: row.direction === 1 ? outside : inside,
    ...measures(row, startMs),
    ...(row.first_seen_time ? { firstSeenTime: timestamp(Date.parse(row.first_seen_time)) } : {}),
    ...(row.resolved_time ? { resolvedTime: timestamp(Date.parse(row.resolved_time)) } : {}),
  });
  return Buffer.from(toBinary(DiscrepancySchema, message));
}

function measures(row: ResultRow, startMs: number) {
  const measure = (answered: boolean, connectedMs: bigint | null | undefined) => ({
    inviteTime: timestamp(startMs),
    answered,
    ...(connectedMs == null ? {} : { connectedDurationMs: connectedMs }),
    ingestTime: timestampFromMicros(BigInt(startMs) * 1_000n),
  });
  const { platform_answered: platform, carrier_answered: carrier, platform_ms, carrier_ms, billed_s } = row;
  const bothMs = platform_ms != null && carrier_ms != null;
  return {
    ...(platform == null ? {} : { platformMeasure: measure(platform, platform_ms) }),
    ...(carrier == null
      ? {}
      : {
          carrierMeasure: {
            ...measure(carrier, carrier_ms),
            ...(billed_s == null ? {} : { billedDurationS: billed_s }),
          },
        }),
    ...(bothMs ? { deltas: { connectedDurationDeltaMs: carrier_ms - platform_ms } } : {}),
  };
}
