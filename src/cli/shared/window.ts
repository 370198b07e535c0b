import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { FieldsCommand } from "./fields.ts";
import { parseTime } from "./values.ts";

/** How times are written, for help texts. */
export const TIME_HELP = "A time is 2026-03-01T10:05:00Z, a day (UTC), 24h (ago: m, h or d), or now.";

/** `--from` and `--to`: the last 24 hours when nothing is said. */
export function withWindow(command: FieldsCommand): FieldsCommand {
  return command
    .field("startTime", "--from <time>", "calls that began at this time or later (default: 24h ago)", parseTime)
    .field("endTime", "--to <time>", "calls that began before this time (default: now)", parseTime);
}

/** The window by default, before what was given. */
export function lastDay(): { startTime: Timestamp; endTime: Timestamp } {
  return { startTime: parseTime("24h"), endTime: parseTime("now") };
}
