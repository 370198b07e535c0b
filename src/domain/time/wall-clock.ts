import { type Micros, microsFromMs } from "./instant.ts";

// The time of day, asked here and nowhere else (lint: tools/lint/clocks.grit). Somebody sets it,
// and it may step back by an hour. It is for moments: those that are stored or shown, and those
// that somebody else wrote down, such as a token's end. How long something takes or lasts is
// measured with `performance.now()`, which only goes forward; an end that was written down is
// judged with `Expiries`.

/** Now, in milliseconds since the epoch. */
export function wallMs(): number {
  return Date.now();
}

/** Now, as an instant. */
export function wallMicros(): Micros {
  return microsFromMs(Date.now());
}
