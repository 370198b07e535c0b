import { type Micros, microsFromMs } from "./instant.ts";

// Only this file asks the time of day (tools/lint/clocks.grit). Somebody sets that clock, and it
// may step back by an hour. Use it for moments that are stored or shown, or that somebody else
// wrote down, such as a token's end. Measure how long something lasts with `performance.now()`,
// which only goes forward. `Expiries` judges an end that was written down.

/** Now, in milliseconds since the epoch. */
export function wallMs(): number {
  return Date.now();
}

/** Now, as an instant. */
export function wallMicros(): Micros {
  return microsFromMs(Date.now());
}
