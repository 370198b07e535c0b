import { toBinary } from "@bufbuild/protobuf";
import { type CdrFilter, CdrFilterSchema } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { QualityVerdict } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import type { CdrConditions } from "../../store/records/cdrs.ts";
import { fieldChecks, isIdText } from "../shared/lists.ts";

/** Most customers, and most numbers, of a filter. */
const MAX_VALUES = 100;
const EXPECTED_TEXT = "expected 1 to 128 characters, without control characters";
const isText = (text: string) => isIdText(text, 128);

/**
 * Checks a filter; undefined when it leaves nothing out. Throws INVALID_ARGUMENT with every field
 * that is wrong.
 */
export function cdrConditions(filter: CdrFilter | undefined): CdrConditions | undefined {
  if (!filter || toBinary(CdrFilterSchema, filter).length === 0) return undefined;
  const { check, done } = fieldChecks("filter.");
  check(Direction[filter.direction] !== undefined, "direction", "expected DIRECTION_OUTBOUND or DIRECTION_INBOUND");
  check(filter.customerIds.length <= MAX_VALUES, "customer_ids", `expected at most ${MAX_VALUES}`);
  check(filter.customerIds.every(isText), "customer_ids", EXPECTED_TEXT);
  check(filter.phoneNumbers.length <= MAX_VALUES, "phone_numbers", `expected at most ${MAX_VALUES}`);
  check(
    filter.phoneNumbers.every((number) => /^\+[0-9]{2,15}$/.test(number)),
    "phone_numbers",
    "expected E.164: + and 2 to 15 digits",
  );
  check(filter.trunkId === undefined || isText(filter.trunkId), "trunk_id", EXPECTED_TEXT);
  const verdicts = filter.qualityVerdicts;
  check(verdicts.length <= 3, "quality_verdicts", "expected at most 3");
  check(
    verdicts.every((v) => v !== 0 && QualityVerdict[v] !== undefined),
    "quality_verdicts",
    "expected GOOD, POOR or UNCLASSIFIED",
  );
  done();
  return {
    direction: filter.direction || undefined,
    customerIds: filter.customerIds,
    phoneNumbers: filter.phoneNumbers,
    trunkId: filter.trunkId,
    qualityVerdicts: verdicts,
  };
}

/** A filter's bytes, by which cursors and page tokens know it; empty when it leaves nothing out. */
export function filterBytes(filter: CdrFilter | undefined): Uint8Array {
  return filter ? toBinary(CdrFilterSchema, filter, { writeUnknownFields: false }) : new Uint8Array(0);
}
