import { create } from "@bufbuild/protobuf";
import { type Command, Option } from "commander";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import {
  DiscrepancyCauseSchema,
  type DiscrepancyFilter,
  DiscrepancyFilterSchema,
  DiscrepancyStatusSchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { collect, enumListOption, enumOption, parseWhole } from "../shared/values.ts";

export interface DiscrepancyFilterOptions {
  readonly status?: number[];
  readonly cause?: number[];
  readonly customer?: string[];
  readonly trunk?: string[];
  readonly direction?: number;
  readonly unresolved?: true;
  readonly resolved?: true;
  readonly minDelta?: number;
}

const MAX_DELTA_S = 1_000_000_000;

export function withDiscrepancyFilter(command: Command): Command {
  return command
    .addOption(enumListOption("--status <statuses>", "only with these statuses", DiscrepancyStatusSchema))
    .addOption(enumListOption("--cause <causes>", "only with one of these causes", DiscrepancyCauseSchema))
    .option("--customer <ids>", "only of these customers", collect)
    .option("--trunk <ids>", "only over these trunks", collect)
    .addOption(enumOption("--direction <direction>", "only this direction", DirectionSchema))
    .addOption(new Option("--unresolved", "only those that still disagree or are pending").conflicts("resolved"))
    .option("--resolved", "only those that agree by now or were left out")
    .option("--min-delta <seconds>", "only where the durations differ by at least this", parseWhole(0, MAX_DELTA_S));
}

/** Undefined without conditions: a cursor is bound to its filter. */
export function discrepancyFilterOf(options: DiscrepancyFilterOptions): DiscrepancyFilter | undefined {
  const { status, cause, customer, trunk, direction, unresolved, resolved, minDelta } = options;
  const named = [status, cause, customer, trunk, direction, unresolved, resolved, minDelta];
  if (named.every((option) => option === undefined)) return undefined;
  return create(DiscrepancyFilterSchema, {
    statuses: status ?? [],
    causes: cause ?? [],
    customerIds: customer ?? [],
    trunkIds: trunk ?? [],
    direction: direction ?? 0,
    ...(unresolved || resolved ? { unresolved: unresolved === true } : {}),
    ...(minDelta === undefined ? {} : { minAbsoluteDeltaMs: BigInt(minDelta) * 1_000n }),
  });
}
