/**
 * Where a table's rows lie on a cluster: with those of the same carrier, number or period; whole on
 * every node; or on the coordinator alone.
 */
type Distribution = "carrier_id" | "phone_number" | "period_id" | "reference" | "local";

const TABLES: Readonly<Record<Distribution, string>> = {
  carrier_id: `carrier request_log feed_head carrier_tally number_approval phone_number number_entry number_holding
    number_port upload upload_batch upload_reject quarantine cdr_consumer job_lease isolation_probe cdr_key duration_key
    cdr_record cdr_quality cdr_network duration_record call_result discrepancy_entry reconcile_position reconcile_minute
    clock_minute clock_lacking clock_offset rounding_vote erasure_carrier disclosure audit_chain audit_head audit_event
    retention_state hold hold_item held_record usage_sum usage_zone usage_mark summary_sum summary_fill`,
  phone_number: "number_owner",
  period_id: "usage_period usage_line usage_restatement",
  reference: `installation shared_file zone_day zone_year seal_key carrier_credential carrier_identity number_range erasure
    retention_policy`,
  local: "serving_process",
};

/**
 * How each table is distributed. A key of a distributed table has its column, but for `hold_id`.
 */
export const DISTRIBUTION: Readonly<Record<string, Distribution>> = Object.fromEntries(
  Object.entries(TABLES).flatMap(([by, names]) => names.split(/\s+/).map((name) => [name, by as Distribution])),
);

// What a cluster of PostgreSQL servers refuses, or sends to every one of them, told by the text of
// a statement. A statement goes to one server only if each of its levels names the carrier by a
// value.

/** Why a statement is not one for a cluster. */
export type ClusterRule =
  /** A level reads a carrier's table and does not name the carrier by a parameter. */
  | "level without the carrier"
  /**
   * The coordinator's clock, or none at all, is what an UPDATE gets; or each server another, where
   * all have the table.
   */
  | "clock in UPDATE"
  /** A cluster takes an ALTER or SET only as a message of its own. */
  | "several statements in a message"
  /** It goes by COPY, which row-level security refuses, or through the coordinator. */
  | "INSERT from arrays alone";

const CLOCK = /\b(?:clock_timestamp|now|statement_timestamp|transaction_timestamp)\(\)/i;
const CLOCK_FROM = /\bclock_from\(/i;
/** It is read once, when the plan is made: by `clock_from` of what is no column. */
const CLOCK_OF_NO_ROW = /\bclock_from\((?!\s*(?:"?[a-z_]+"?\.)?"?[a-z_]+"?\s*\))/i;
const READS = reads("carrier_id");
const NAMES_CARRIER = /carrier_id"?\s*=\s*(?:\$\d|ANY)/i;

/** The rules that a statement breaks. */
export function brokenRules(text: string): ClusterRule[] {
  const broken: ClusterRule[] = [];
  const levels = levelsOf(text);
  if (levels.some((level) => READS.test(level) && !NAMES_CARRIER.test(level))) broken.push("level without the carrier");
  if (levels.some(setsClock)) broken.push("clock in UPDATE");
  if (/;\s*\S/.test(withoutTexts(text))) broken.push("several statements in a message");
  if (levels.some(insertsArrays)) broken.push("INSERT from arrays alone");
  return broken;
}

// What reads a table that is distributed so.
function reads(distribution: Distribution): RegExp {
  const tables = Object.entries(DISTRIBUTION).flatMap(([table, by]) => (by === distribution ? [table] : []));
  return new RegExp(`\\b(?:FROM|JOIN|UPDATE|USING)\\s+(?:ONLY\\s+)?"?(?:${tables.join("|")})"?(?![\\w"])`, "i");
}

function setsClock(level: string): boolean {
  const [, set = ""] = /\b(?:DO UPDATE SET|UPDATE\b[\s\S]*?\bSET)\b([\s\S]*)/i.exec(level) ?? [];
  return CLOCK.test(set) || CLOCK_OF_NO_ROW.test(level) || (CLOCK_FROM.test(set) && isOnEveryServer(level));
}

// Each server would write its own time.
function isOnEveryServer(level: string): boolean {
  const [, table = ""] = /\b(?:INSERT INTO|UPDATE(?: ONLY)?)\s+"?(\w+)/i.exec(level) ?? [];
  return DISTRIBUTION[table] === "reference";
}

// Of arrays, or of parameters without any FROM.
function insertsArrays(level: string): boolean {
  if (!/^\s*(?:WITH\b[\s\S]*)?INSERT INTO/i.test(level) || !/\bSELECT\b/i.test(level)) return false;
  const table = /INSERT INTO "?(\w+)/i.exec(level)?.[1] ?? "";
  const by = DISTRIBUTION[table] ?? "local";
  return (
    by !== "reference" &&
    by !== "local" &&
    (/\bunnest\(/i.test(level) || !/\bFROM\b/i.test(level)) &&
    !reads(by).test(level)
  );
}

// The text of each query by itself: without the queries within it, which are levels of their own.
function levelsOf(text: string): string[] {
  const levels: string[] = [];
  const open: { text: string; isQuery: boolean }[] = [{ text: "", isQuery: true }];
  const plain = withoutTexts(text);
  for (let at = 0; at < plain.length; at++) {
    const character = plain[at] as string;
    if (character === "(") {
      open.push({ text: "", isQuery: /^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b/i.test(plain.slice(at + 1)) });
    } else if (character === ")" && open.length > 1) {
      const { text: inner, isQuery } = open.pop() as { text: string; isQuery: boolean };
      const around = open.at(-1) as { text: string };
      if (isQuery) levels.push(...inner.split(/\bUNION(?: ALL)?\b/i));
      around.text += isQuery ? "()" : `(${inner})`;
    } else (open.at(-1) as { text: string }).text += character;
  }
  return [...levels, ...(open[0]?.text ?? "").split(/\bUNION(?: ALL)?\b/i)];
}

function withoutTexts(text: string): string {
  return text.replace(/'(?:[^']|'')*'/g, "''");
}
