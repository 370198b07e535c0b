import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { parseTime } from "./values.ts";

export interface WindowOptions {
  readonly from?: Timestamp;
  readonly to?: Timestamp;
}

/** How times are written, for help texts. */
export const TIME_HELP = "A time is 2026-03-01T10:05:00Z, a day (UTC), 24h (ago: m, h or d), or now.";

/** `--from` and `--to`: the last 24 hours when nothing is said. */
export function withWindow(command: Command): Command {
  return command
    .option("--from <time>", "calls that began at this time or later (default: 24h ago)", parseTime)
    .option("--to <time>", "calls that began before this time (default: now)", parseTime);
}

export function windowOf({ from, to }: WindowOptions): { startTime: Timestamp; endTime: Timestamp } {
  return { startTime: from ?? parseTime("24h"), endTime: to ?? parseTime("now") };
}
