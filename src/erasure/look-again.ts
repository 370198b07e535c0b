import { earlier, type Micros } from "../domain/time/instant.ts";
import { ErasureExceptionReason } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Exceptions } from "./erased-counts.ts";

/** Holds may end and numbers be released at any time, so exceptions are rechecked this often. */
const LOOK_AGAIN: Micros = 300_000_000n;
/** The next check waits this many times the last one's length, unless a due date was given. */
const REST = 20n;

/**
 * When to recheck exceptions; undefined: there are none.
 * @param run when the check ended, and how long it took.
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
  // Records have their own dates; the receipt gives the last of its kind.
  const promised = exceptions.promised;
  return promised === undefined ? rested : earlier(rested, promised);
}
