import { type ErasureScope, isInScope } from "../domain/privacy/erasure.ts";
import { DAY, type Micros, microsFromMs } from "../domain/time/instant.ts";

/** A reject without a time is at most this much younger than its call: older ones are refused. */
const OLDEST: Micros = 402n * DAY;

export interface RejectText {
  readonly message: string;
  readonly recordJson: string;
}

/** A reject without erased numbers, even masked ones; the same object if nothing changes. */
export function withoutNumber<Reject extends RejectText>(
  reject: Reject,
  scopes: readonly ErasureScope[],
  createTime?: Micros,
): Reject {
  let erased = reject;
  for (const scope of scopes) {
    if (!isRejectInScope(scope, reject, createTime)) continue;
    const { number } = scope;
    erased = { ...erased, message: number.maskAll(erased.message), recordJson: number.maskAll(erased.recordJson) };
  }
  return erased;
}

// The text is cut after 1 KiB: uses whatever times can be read.
function isRejectInScope(scope: ErasureScope, { recordJson }: RejectText, createTime: Micros | undefined): boolean {
  const time = /"(?:inviteTime|answerTime)":"([^"]+)"/.exec(recordJson)?.[1];
  const ms = time === undefined ? Number.NaN : Date.parse(time);
  if (!Number.isNaN(ms)) return isInScope(scope, { startTime: microsFromMs(ms), recordDate: "" });
  const recordDate = /"recordDate":"(\d{4}-\d{2}-\d{2})"/.exec(recordJson)?.[1];
  if (recordDate !== undefined) return isInScope(scope, { startTime: undefined, recordDate });
  return createTime === undefined || (createTime >= scope.start && createTime < scope.end + OLDEST);
}
