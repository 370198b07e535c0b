import { type Kysely, sql } from "kysely";

// Frozen. Usage as sums that move with the results, so that a question about a month reads days and
// not calls.

const TABLES = [
  // Calls of a carrier by customer and by day in a time zone. Without the number, so that an
  // erasure leaves it true.
  `CREATE TABLE usage_sum (
    carrier_id text NOT NULL,
    customer_id text NOT NULL,
    time_zone text COLLATE "C" NOT NULL,
    usage_date date NOT NULL,
    direction smallint NOT NULL,
    country_code text NOT NULL,
    part smallint NOT NULL,
    attempts bigint NOT NULL,
    answered bigint NOT NULL,
    connected_ms bigint NOT NULL,
    billed_count bigint NOT NULL,
    billed_s bigint NOT NULL,
    unmeasured bigint NOT NULL,
    reported bigint NOT NULL,
    PRIMARY KEY (carrier_id, customer_id, time_zone, usage_date, direction, country_code, part)
  )`,
  // The zones that a carrier's calls are summed in: all that begin from filled_from on. Whoever
  // changes a result locks them first.
  `CREATE TABLE usage_zone (
    carrier_id text NOT NULL,
    time_zone text COLLATE "C" NOT NULL,
    filled_from timestamptz NOT NULL,
    PRIMARY KEY (carrier_id, time_zone)
  )`,
  // Numbers whose history changed: their calls of that span may be summed under whom they were.
  `CREATE TABLE usage_mark (
    carrier_id text NOT NULL,
    mark_id uuid NOT NULL,
    phone_number text COLLATE "C" NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    is_passed_on boolean NOT NULL,
    PRIMARY KEY (carrier_id, mark_id)
  )`,
  // The customer under whom a call is summed. NULL: nobody.
  "ALTER TABLE call_result ADD COLUMN summed_customer_id text",
];

// Nothing is filled yet: filled_from is the end of time.
const ZONES_IN_USE = [
  `INSERT INTO usage_zone (carrier_id, time_zone, filled_from)
    SELECT carrier_id, time_zone, '9999-12-31T00:00:00Z' FROM carrier`,
  `INSERT INTO usage_zone (carrier_id, time_zone, filled_from)
    SELECT DISTINCT c.carrier_id, p.time_zone, '9999-12-31T00:00:00Z'::timestamptz
    FROM usage_period p CROSS JOIN LATERAL jsonb_object_keys(p.judged) j(carrier_id) JOIN carrier c ON c.carrier_id = j.carrier_id
    ON CONFLICT DO NOTHING`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  const rights = ["usage_sum", "usage_zone", "usage_mark"].flatMap((table) => [
    `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`,
    `CREATE POLICY system_sees_all ON ${table} TO tandem_system USING (true) WITH CHECK (true)`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO tandem_system`,
  ]);
  // Whoever changes a number marks it, as the carrier too.
  const own = "carrier_id = current_setting('tandem.carrier_id', true)";
  const ofCarriers = [
    `CREATE POLICY carrier_marks_its_own ON usage_mark FOR INSERT TO tandem_carrier WITH CHECK (${own})`,
    "GRANT INSERT ON usage_mark TO tandem_carrier",
  ];
  for (const statement of [...TABLES, ...ZONES_IN_USE, ...rights, ...ofCarriers]) await sql.raw(statement).execute(db);
}
