import { InvalidArgumentError } from "commander";

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const MAX_SECONDS = 366 * 86_400;

/** A time such as 90s, 15m, 1h or 7d, in seconds. */
export function parseSeconds(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (SECONDS[unit ?? ""] ?? Number.NaN);
  if (!(seconds >= 0 && seconds <= MAX_SECONDS))
    throw new InvalidArgumentError("Expected 90s, 15m, 1h or 7d, at most 366d.");
  return seconds;
}
