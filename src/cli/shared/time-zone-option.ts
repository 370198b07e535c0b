import { InvalidArgumentError } from "commander";
import { isTimeZone } from "../../domain/time/time-zone.ts";

/** Reads a time zone. A file of its own: few commands need all zones of the world. */
export function parseTimeZone(text: string): string {
  if (isTimeZone(text)) return text;
  throw new InvalidArgumentError("Expected an IANA time zone, such as Europe/Copenhagen.");
}
