import { text } from "node:stream/consumers";

export const NUMBER_HELP =
  "in E.164 form: +4510000001; - reads it from standard input, which hides it from lists of processes";

/** A number as it was given, or from standard input for `-`. */
export async function readNumber(given: string): Promise<string> {
  return given === "-" ? (await text(process.stdin)).trim() : given;
}
