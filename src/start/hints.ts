import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import { type HeadHint, HeadHints } from "../store/feeds/head-hints.ts";

/**
 * Joins the hints between the processes of one database. Undefined: there are none. Tandem's own
 * PostgreSQL serves one process.
 */
export function openHints(
  { databaseUrl, hintsUrl = databaseUrl }: Pick<Config, "databaseUrl" | "hintsUrl">,
  onHint: (hint: HeadHint) => void,
  log: Logger,
): HeadHints | undefined {
  if (hintsUrl === undefined || hintsUrl === "off") return undefined;
  return new HeadHints({
    url: hintsUrl,
    onHint,
    onPooled: () =>
      log.warn(
        "the database is behind a pooler, so streams hear of other processes' commits by the poll alone: name its own address in TANDEM_HINTS_URL, or set it to off",
      ),
    onError: (err) => log.warn({ err }, "hints from other processes are away; trying again"),
  });
}
