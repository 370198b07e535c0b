import { type Micros, microsFromMs } from "../../domain/time/instant.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";

/** How far a caller's clock may be ahead of ours, milliseconds: as that of an issuer of tokens. */
const CLOCK_TOLERANCE_MS = 10_000;

/** Whether a time is not in the future, by clocks that may differ. */
export function isPast(time: Micros): boolean {
  return time <= microsFromMs(wallMs() + CLOCK_TOLERANCE_MS);
}
