import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { QualityVerdictSchema } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import type { FieldsCommand } from "../shared/fields.ts";
import { collect, enumListOption, enumOption } from "../shared/values.ts";

/** The options that say which records: fields of `CdrFilter`. */
export function withCdrFilter(command: FieldsCommand): FieldsCommand {
  return command
    .addOption(enumOption("--direction <direction>", "only this direction", DirectionSchema))
    .field("customerIds", "--customer <ids>", "only of these customers", collect)
    .field("phoneNumbers", "--number <numbers>", "only of these numbers of ours", collect)
    .field("trunkId", "--trunk <id>", "only over this trunk")
    .addOption(
      enumListOption("--quality <verdicts>", "only with these verdicts", QualityVerdictSchema, "qualityVerdicts"),
    );
}
