import { describe, expect, test } from "vitest";
import { brokenRules, type ClusterRule } from "./cluster-rules.ts";

const CASES: {
  readonly [Rule in ClusterRule]: { readonly breaks: readonly string[]; readonly keeps: readonly string[] };
} = {
  "level without the carrier": {
    breaks: [
      "SELECT FROM upload",
      "SELECT FROM carrier c JOIN feed_head h ON h.carrier_id = c.carrier_id",
      "SELECT FROM upload u WHERE u.carrier_id = $1 AND EXISTS (SELECT FROM upload_batch b WHERE b.carrier_id = u.carrier_id)",
    ],
    keeps: [
      "SELECT FROM usage_line",
      "SELECT FROM upload u WHERE u.carrier_id = $1 AND EXISTS (SELECT FROM upload_batch b WHERE b.carrier_id = $2)",
      'SELECT FROM "feed_head" WHERE "carrier_id" = ANY($1::text[])',
    ],
  },
  "clock in UPDATE": {
    breaks: [
      "UPDATE hold SET release_time = clock_timestamp() WHERE carrier_id = $1",
      "UPDATE hold SET released_by = $2 WHERE carrier_id = $1 AND end_time > now()",
      "INSERT INTO job_lease AS l VALUES ($1) ON CONFLICT (carrier_id) DO UPDATE SET until_time = clock_timestamp()",
      "UPDATE hold SET release_time = clock_from($2) WHERE carrier_id = $1",
      "UPDATE hold SET release_time = clock_from(NULL::timestamptz) WHERE carrier_id = $1",
      "UPDATE erasure SET drain_time = clock_from(drain_time) WHERE erasure_id = $1",
    ],
    keeps: [
      'UPDATE "hold" SET "release_time" = clock_from("release_time") WHERE "carrier_id" = $1',
      "INSERT INTO job_lease AS l VALUES ($1, clock_timestamp()) ON CONFLICT (carrier_id) DO UPDATE SET until_time = clock_from(l.until_time)",
      "UPDATE erasure SET drain_time = $2 WHERE erasure_id = $1",
    ],
  },
  "several statements in a message": {
    breaks: ["UPDATE hold SET reason = 1 WHERE carrier_id = $1; SELECT 1"],
    keeps: ["SELECT ';' || $1;"],
  },
  "INSERT from arrays alone": {
    breaks: [
      "INSERT INTO hold_item (carrier_id) SELECT $1, n FROM unnest($2::text[]) AS n",
      "INSERT INTO hold_item (carrier_id) SELECT $1, unnest($2::text[])",
      "INSERT INTO retention_state (carrier_id) SELECT $1 ON CONFLICT DO NOTHING",
      "INSERT INTO usage_line (period_id) SELECT c.carrier_id, n FROM carrier c CROSS JOIN unnest($2::text[]) AS n WHERE c.carrier_id = $1",
    ],
    keeps: [
      "INSERT INTO hold_item (carrier_id) SELECT c.carrier_id, n FROM carrier c CROSS JOIN unnest($2::text[]) AS n WHERE c.carrier_id = $1",
      "INSERT INTO usage_line (period_id) SELECT p.period_id, n FROM usage_period p CROSS JOIN unnest($2::text[]) AS n WHERE p.period_id = $1",
      "INSERT INTO hold_item (carrier_id) VALUES ($1, $2)",
      "INSERT INTO number_range (prefix) SELECT unnest($1::text[])",
    ],
  },
};

describe.each(Object.entries(CASES))("%s", (rule, { breaks, keeps }) => {
  test.each(breaks)("is broken by %s", (text) => expect(brokenRules(text)).toContain(rule));
  test.each(keeps)("is kept by %s", (text) => expect(brokenRules(text)).not.toContain(rule));
});
