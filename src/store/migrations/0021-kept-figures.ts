import { type Kysely, sql } from "kysely";

// Frozen. Figures that screens show are kept, so that no screen reads every call: the
// reconciliation summary as sums that move with the results, and what a hold keeps as it was last
// counted.

const TABLES = [
  // Calls of a carrier of one kind and day. No number is in it. `hours` counts them by the hour in
  // UTC in which they begin: the first element is of the hour that begins 14 hours before the day
  // does in UTC, since no zone is further ahead.
  `CREATE TABLE summary_sum (
    carrier_id text NOT NULL,
    call_date date NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    trunk_id text COLLATE "C" NOT NULL,
    direction smallint NOT NULL,
    status smallint NOT NULL,
    causes smallint NOT NULL,
    matched_by smallint NOT NULL,
    pair_key bigint NOT NULL,
    traits smallint NOT NULL,
    calls bigint NOT NULL,
    platform_ms bigint NOT NULL,
    carrier_ms bigint NOT NULL,
    call_delta_ms bigint NOT NULL,
    hours integer[] NOT NULL,
    PRIMARY KEY (carrier_id, call_date, customer_id, trunk_id, direction, status, causes, matched_by, pair_key, traits)
  )`,
  // From when on a carrier's calls are in its sums. Without a row none is.
  `CREATE TABLE summary_fill (
    carrier_id text PRIMARY KEY,
    filled_from timestamptz NOT NULL
  )`,
];

// When it was counted how many revisions a hold keeps. NULL: not yet.
const HOLDS = ["ALTER TABLE hold ADD COLUMN held_count bigint", "ALTER TABLE hold ADD COLUMN count_time timestamptz"];

// Adds counts element by element. A cluster takes no query in ON CONFLICT DO UPDATE, but a function
// that is IMMUTABLE. Its body is parsed here: no search_path has a say in it.
const ADD_COUNTS = [
  `CREATE FUNCTION add_counts(a integer[], b integer[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT array_agg(COALESCE(c.x, 0) + COALESCE(c.y, 0) ORDER BY c.place)
      FROM unnest(a, b) WITH ORDINALITY AS c(x, y, place))`,
  "REVOKE ALL ON FUNCTION add_counts(integer[], integer[]) FROM PUBLIC",
  "GRANT EXECUTE ON FUNCTION add_counts(integer[], integer[]) TO tandem_system",
];

export async function up(db: Kysely<unknown>): Promise<void> {
  const rights = ["summary_sum", "summary_fill"].flatMap((table) => [
    `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`,
    `CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true)`,
    `CREATE POLICY carrier_sees_its_own ON ${table} FOR SELECT TO tandem_carrier
      USING (carrier_id = current_setting('tandem.carrier_id', true))`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO tandem_system`,
    `GRANT SELECT ON ${table} TO tandem_carrier`,
  ]);
  for (const statement of [...TABLES, ...ADD_COUNTS, ...rights, ...HOLDS]) await sql.raw(statement).execute(db);
}
