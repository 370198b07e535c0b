import pg from "pg";
import type { Micros } from "../../domain/time/instant.ts";

const INFINITY_MICROS: Micros = 253_402_300_799_999_999n;

/**
 * How a value is read: int8, its arrays and whole numeric as bigint; timestamptz as microseconds;
 * date and its arrays as text. All else as pg reads it.
 */
export function getTypeParser(oid: number, format?: "text" | "binary") {
  if (format !== "binary") {
    if (oid === 20 || oid === 1700) return (text: string) => BigInt(text);
    if (oid === 1184) return parseTimestamptz;
    if (oid === 1082) return (text: string) => text;
    if (oid === 1182) return parseTextArray;
    if (oid === 1016) return (text: string) => parseTextArray(text).map(BigInt);
  }
  return pg.types.getTypeParser(oid, format as "text");
}

// Days and numbers need no quotes.
function parseTextArray(text: string): string[] {
  return text === "{}" ? [] : text.slice(1, -1).split(",");
}

function parseTimestamptz(text: string): Micros {
  if (text === "infinity") return INFINITY_MICROS;
  if (text === "-infinity") return -INFINITY_MICROS;
  const dot = text.indexOf(".");
  const seconds = dot < 0 ? text.slice(0, 19) : text.slice(0, dot);
  const fraction = dot < 0 ? "0" : text.slice(dot + 1, text.length - 3);
  return BigInt(Date.parse(`${seconds.replace(" ", "T")}Z`)) * 1000n + BigInt(fraction.padEnd(6, "0"));
}
