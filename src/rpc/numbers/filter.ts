import { create, toBinary } from "@bufbuild/protobuf";
import { fieldViolations } from "../../domain/errors.ts";
import { findFilterViolations, type NumberFilter } from "../../domain/numbers/number-filter.ts";
import { filterHash } from "../../feed/cursor.ts";
import {
  type NumberFilter as NumberFilterMessage,
  NumberFilterSchema,
} from "../../gen/tandem/type/v1/phone_number_pb.js";

export interface ReadNumberFilter {
  /** Undefined when it leaves nothing out. */
  readonly filter: NumberFilter | undefined;
  /** Equal for equal conditions, in whatever order. */
  readonly hash: bigint;
}

/** Reads and checks a filter. Throws INVALID_ARGUMENT with every field that is wrong. */
export function readNumberFilter(message: NumberFilterMessage | undefined): ReadNumberFilter {
  const filter: NumberFilter = {
    ...(message && message.states.length > 0 ? { states: [...new Set(message.states)].sort((a, b) => a - b) } : {}),
    ...(message?.customerId === undefined ? {} : { customerId: message.customerId }),
    ...(message?.countryCode === undefined ? {} : { countryCode: message.countryCode }),
    ...(message?.numberPrefix === undefined ? {} : { numberPrefix: message.numberPrefix }),
  };
  const violations = findFilterViolations(filter);
  if (violations.length > 0) throw fieldViolations(violations);
  if (Object.keys(filter).length === 0) return { filter: undefined, hash: 0n };
  const { states, ...rest } = filter;
  const canonical = create(NumberFilterSchema, { ...rest, states: [...(states ?? [])] });
  return { filter, hash: filterHash(toBinary(NumberFilterSchema, canonical)) };
}
