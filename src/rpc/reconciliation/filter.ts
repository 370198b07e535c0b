import { create, toBinary } from "@bufbuild/protobuf";
import { type FieldViolation, fieldViolations } from "../../domain/errors.ts";
import { filterHash } from "../../feed/cursor.ts";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import {
  DiscrepancyCause,
  type DiscrepancyFilter,
  DiscrepancyFilterSchema,
  DiscrepancyStatus,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { DiscrepancyConditions } from "../../store/reconciliation/discrepancies.ts";
import { checkNames, type FieldCheck, sortedUnique } from "./fields.ts";

/** A request's filter. */
export interface ReadDiscrepancyFilter {
  /** Undefined when it leaves nothing out. */
  readonly conditions: DiscrepancyConditions | undefined;
  /**
   * As cursors and page tokens know it: the same for the same conditions, however they are ordered;
   * 0 when there are none.
   */
  readonly hash: bigint;
}

/** Reads and checks a filter. Throws INVALID_ARGUMENT with every field that is wrong. */
export function readDiscrepancyFilter(filter: DiscrepancyFilter | undefined): ReadDiscrepancyFilter {
  if (!filter) return { conditions: undefined, hash: 0n };
  const wrong: FieldViolation[] = [];
  const check: FieldCheck = (holds, field, description) =>
    void (holds || wrong.push({ field: `filter.${field}`, description }));
  const { statuses, causes, customerIds, trunkIds, direction, minAbsoluteDeltaMs } = filter;
  check(statuses.length <= 14, "statuses", "expected at most 14");
  check(
    statuses.every((status) => isStated(DiscrepancyStatus, status)),
    "statuses",
    "expected DISCREPANCY_STATUS_ values",
  );
  check(causes.length <= 9, "causes", "expected at most 9");
  check(
    causes.every((cause) => isStated(DiscrepancyCause, cause)),
    "causes",
    "expected DISCREPANCY_CAUSE_ values",
  );
  checkNames(check, { customerIds, trunkIds });
  check(Direction[direction] !== undefined, "direction", "expected DIRECTION_OUTBOUND or DIRECTION_INBOUND, or none");
  check(minAbsoluteDeltaMs === undefined || minAbsoluteDeltaMs >= 0n, "min_absolute_delta_ms", "expected 0 or more");
  if (wrong.length > 0) throw fieldViolations(wrong);
  const canonical = create(DiscrepancyFilterSchema, {
    statuses: sortedUnique(statuses),
    causes: sortedUnique(causes),
    customerIds: sortedUnique(customerIds),
    trunkIds: sortedUnique(trunkIds),
    direction,
    ...(filter.unresolved === undefined ? {} : { unresolved: filter.unresolved }),
    ...(minAbsoluteDeltaMs === undefined ? {} : { minAbsoluteDeltaMs }),
  });
  const hash = filterHash(toBinary(DiscrepancyFilterSchema, canonical));
  if (hash === 0n) return { conditions: undefined, hash };
  return {
    conditions: {
      statuses: canonical.statuses,
      causes: canonical.causes,
      customerIds: canonical.customerIds,
      trunkIds: canonical.trunkIds,
      direction: direction || undefined,
      unresolved: filter.unresolved,
      minAbsoluteDeltaMs,
    },
    hash,
  };
}

function isStated(names: Readonly<Record<number, string>>, value: number): boolean {
  return value !== 0 && names[value] !== undefined;
}
