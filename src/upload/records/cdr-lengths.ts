import { create } from "@bufbuild/protobuf";
import type { PhaseLengths } from "../../domain/calls/call-rules.ts";
import { optionalMs } from "../../domain/calls/cdr-facts.ts";
import { type CallLengths, CallLengthsSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";

/**
 * The lengths that are content: those that were sent and differ from what the times give. Undefined
 * when none is.
 */
export function contentLengths(lengths: CallLengths, derived: PhaseLengths): CallLengths | undefined {
  const content = lengthsWhere((name) => (lengths[name] === derivedOf(name, derived) ? undefined : lengths[name]));
  return hasLengths(content) ? content : undefined;
}

/** The lengths that follow from the times and are not content. Undefined when there are none. */
export function derivedLengths(content: CallLengths | undefined, derived: PhaseLengths): CallLengths | undefined {
  const lengths = lengthsWhere((name) => (content?.[name] === undefined ? derivedOf(name, derived) : undefined));
  return hasLengths(lengths) ? lengths : undefined;
}

function lengthsWhere(value: (name: LengthName) => bigint | undefined): CallLengths {
  const lengths = create(CallLengthsSchema);
  for (const name of LENGTH_NAMES) {
    const ms = value(name);
    if (ms !== undefined) lengths[name] = ms;
  }
  return lengths;
}

function hasLengths(lengths: CallLengths): boolean {
  return LENGTH_NAMES.some((name) => lengths[name] !== undefined);
}

function derivedOf(name: LengthName, derived: PhaseLengths): bigint | undefined {
  return optionalMs(derived[PHASE_OF[name]]);
}

const PHASE_OF = {
  setupDurationMs: "setupMs",
  ringDurationMs: "ringMs",
  connectedDurationMs: "connectedMs",
  totalDurationMs: "totalMs",
} as const;
type LengthName = keyof typeof PHASE_OF;
const LENGTH_NAMES = Object.keys(PHASE_OF) as LengthName[];
