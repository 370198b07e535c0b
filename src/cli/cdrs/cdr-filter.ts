import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { type CdrFilter, CdrFilterSchema } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { QualityVerdictSchema } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { collect, enumListOption, enumOption } from "../shared/values.ts";

/** Which records. */
export interface CdrFilterOptions {
  readonly direction?: number;
  readonly customer?: string[];
  readonly number?: string[];
  readonly trunk?: string;
  readonly quality?: number[];
}

/** The options that say which records. */
export function withCdrFilter(command: Command): Command {
  return command
    .addOption(enumOption("--direction <direction>", "only this direction", DirectionSchema))
    .option("--customer <ids>", "only of these customers", collect)
    .option("--number <numbers>", "only of these numbers of ours", collect)
    .option("--trunk <id>", "only over this trunk")
    .addOption(enumListOption("--quality <verdicts>", "only with these verdicts", QualityVerdictSchema));
}

/**
 * The filter that the options mean; undefined when they name none, for a cursor is bound to its
 * filter.
 */
export function cdrFilterOf(options: CdrFilterOptions): CdrFilter | undefined {
  const { direction, customer, number, trunk, quality } = options;
  if ([direction, customer, number, trunk, quality].every((option) => option === undefined)) return undefined;
  return create(CdrFilterSchema, {
    direction: direction ?? 0,
    customerIds: customer ?? [],
    phoneNumbers: number ?? [],
    qualityVerdicts: quality ?? [],
    ...(trunk === undefined ? {} : { trunkId: trunk }),
  });
}
