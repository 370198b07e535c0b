import { instantsOfLocal } from "../../../domain/time/time-zone.ts";
import type { Row } from "./format.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const QUARTER_HOUR_MS = 15 * 60_000;

/**
 * When what a packet tells happened, milliseconds: its Event-Timestamp, else its receipt less
 * Acct-Delay-Time. An abbreviation such as IST names more than one zone. So local times are
 * read in the zone that was given, else by the offset between the packet's two times of
 * receipt, of which one is local (the head line) and one is not (Timestamp).
 */
export function packetTimeMs({ cells }: Row, timeZone: string | undefined): number | undefined {
  const receivedMs = Number(cells["Timestamp"]) > 0 ? Number(cells["Timestamp"]) * 1_000 : undefined;
  const event = cells["Event-Timestamp"] ?? "";
  if (/^\d{9,11}$/.test(event)) return Number(event) * 1_000;
  const [, month, day, year, clock, zone] =
    /^(\w{3})\s+(\d{1,2}) (\d{4}) (\d{2}:\d{2}:\d{2})(?: (\S+))?$/.exec(event) ?? [];
  if (month === undefined) return receivedMs === undefined ? undefined : receivedMs - delayMs(cells);
  const localMs = localTime(year, month, day, clock);
  if (localMs === undefined || zone === "UTC" || zone === "GMT") return localMs;
  if (timeZone !== undefined) return nearest(instantsOfLocal(timeZone, localMs), receivedMs);
  const offsetMs = offsetOf(cells["received"] ?? "", receivedMs);
  return offsetMs === undefined ? undefined : localMs - offsetMs;
}

function delayMs(cells: Row["cells"]): number {
  return (Number(cells["Acct-Delay-Time"]) || 0) * 1_000;
}

/** In the hour that occurs twice, a packet is rather of the time nearer to its receipt. */
function nearest(instants: readonly number[], receivedMs: number | undefined): number | undefined {
  if (receivedMs === undefined) return instants.length === 1 ? instants[0] : undefined;
  return instants.toSorted((a, b) => Math.abs(a - receivedMs) - Math.abs(b - receivedMs))[0];
}

function offsetOf(head: string, receivedMs: number | undefined): number | undefined {
  const [, month, day, clock, year] = /^\w{3} (\w{3}) +(\d{1,2}) (\d{2}:\d{2}:\d{2}) (\d{4})$/.exec(head) ?? [];
  const localMs = localTime(year, month, day, clock);
  if (localMs === undefined || receivedMs === undefined) return undefined;
  return Math.round((localMs - receivedMs) / QUARTER_HOUR_MS) * QUARTER_HOUR_MS;
}

function localTime(year = "", month = "", day = "", clock = ""): number | undefined {
  const index = MONTHS.indexOf(month);
  if (index < 0) return undefined;
  const ms = Date.parse(`${year}-${String(index + 1).padStart(2, "0")}-${day.padStart(2, "0")}T${clock}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
