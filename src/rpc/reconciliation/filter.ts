import { toBinary } from "@bufbuild/protobuf";
import { messageOf } from "../../domain/message-of.ts";
import { filterHash } from "../../feed/cursor.ts";
import {
  DiscrepancyCause,
  type DiscrepancyFilter,
  DiscrepancyFilterSchema,
  DiscrepancyStatus,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { DiscrepancyConditions } from "../../store/reconciliation/discrepancies.ts";
import { fieldChecks } from "../shared/lists.ts";
import { checkDirection, checkNames, sortedUnique } from "./fields.ts";

/**
 * Reads a filter. Throws INVALID_ARGUMENT with every wrong field.
 * @returns its conditions, undefined if it is empty; and its hash for cursors and page tokens, the
 *   same in any order and 0 if empty.
 */
export function readDiscrepancyFilter(filter: DiscrepancyFilter | undefined): {
  readonly conditions: DiscrepancyConditions | undefined;
  readonly hash: bigint;
} {
  if (!filter) return { conditions: undefined, hash: 0n };
  const { check, done } = fieldChecks("filter.");
  const { statuses, causes, customerIds, trunkIds, direction, minAbsoluteDeltaMs } = filter;
  check(statuses.length <= 14, "statuses", "expected at most 14");
  check(areStated(DiscrepancyStatus, statuses), "statuses", "expected DISCREPANCY_STATUS_ values");
  check(causes.length <= 9, "causes", "expected at most 9");
  check(areStated(DiscrepancyCause, causes), "causes", "expected DISCREPANCY_CAUSE_ values");
  checkNames(check, { customerIds, trunkIds });
  checkDirection(check, direction);
  check(minAbsoluteDeltaMs === undefined || minAbsoluteDeltaMs >= 0n, "min_absolute_delta_ms", "expected 0 or more");
  done();
  const conditions = {
    statuses: sortedUnique(statuses),
    causes: sortedUnique(causes),
    customerIds: sortedUnique(customerIds),
    trunkIds: sortedUnique(trunkIds),
    direction: direction || undefined,
    unresolved: filter.unresolved,
    minAbsoluteDeltaMs,
  };
  const hash = filterHash(toBinary(DiscrepancyFilterSchema, messageOf(DiscrepancyFilterSchema, conditions)));
  return { conditions: hash === 0n ? undefined : conditions, hash };
}

function areStated(names: Readonly<Record<number, string>>, values: readonly number[]): boolean {
  return values.every((value) => value !== 0 && names[value] !== undefined);
}
