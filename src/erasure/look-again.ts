import type { Micros } from "../domain/time/instant.ts";
import { ErasureExceptionReason } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Exceptions } from "./erased-counts.ts";

/**
 * A hold may be ended before its end, and a number released at any time: looked at again after so
 * long.
 */
const LOOK_AGAIN: Micros = 300_000_000n;
/**
 * Looking takes all that is kept of a period: so many times as long as it took it is not done
 * again, but for a date that was given.
 */
const REST = 20n;

/**
 * When to look again at what exceptions keep; undefined: nothing is kept.
 * @param run when the look that found them ended, and how long it took.
 */
export function lookAgainAt(exceptions: Exceptions, run: { ended: Micros; took: Micros }): Micros | undefined {
  const held = exceptions.list();
  if (held.length === 0) return undefined;
  const mayEndSooner = held.some(
    ({ reason, due }) =>
      due === undefined || reason === ErasureExceptionReason.HELD || reason === ErasureExceptionReason.PENDING,
  );
  const soon = run.ended + LOOK_AGAIN;
  const due = exceptions.earliest ?? soon;
  const wanted = mayEndSooner ? earlier(soon, due) : due;
  const rested = run.ended + REST * run.took;
  if (wanted >= rested) return wanted;
  // Each record has a date of its own; what the receipt gives is the last of its kind, and that is
  // kept.
  const promised = exceptions.promised;
  return promised === undefined ? rested : earlier(rested, promised);
}

function earlier(a: Micros, b: Micros): Micros {
  return a < b ? a : b;
}
