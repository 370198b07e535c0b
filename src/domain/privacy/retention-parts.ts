import { ProcessingPurpose } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { enumValues } from "../enum-values.ts";

/** The parts of what is stored that are kept for a time of their own. */
export const ALL_PARTS = enumValues(RecordPart);
/** What parts are kept for. */
export const ALL_PURPOSES = enumValues(ProcessingPurpose);
