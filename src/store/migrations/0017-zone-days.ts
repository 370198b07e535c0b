import { type Kysely, sql } from "kysely";

// Frozen. When days begin in time zones: rows, from which everything cuts its days. Until here
// reconciliation asked Node, and all else PostgreSQL; days that were used go on beginning when they
// did: those of closed periods as PostgreSQL has them, those of judged calls as this Node does.

const TABLES = `
CREATE TABLE zone_day (
  time_zone text COLLATE "C" NOT NULL,
  day date NOT NULL,
  start_time timestamptz NOT NULL,
  PRIMARY KEY (time_zone, day)
);

-- Of which years the days were filled in, and by which edition of the IANA data.
CREATE TABLE zone_year (
  time_zone text COLLATE "C" NOT NULL,
  year smallint NOT NULL,
  data_version text COLLATE "C" NOT NULL,
  PRIMARY KEY (time_zone, year)
);

-- A closed period is kept as instants as well.
ALTER TABLE usage_period ADD COLUMN start_time timestamptz, ADD COLUMN end_time timestamptz;
`;

const RIGHTS = [
  "ALTER TABLE zone_day ENABLE ROW LEVEL SECURITY",
  "ALTER TABLE zone_year ENABLE ROW LEVEL SECURITY",
  "CREATE POLICY system_sees_all ON zone_day FOR SELECT TO tandem_system USING (true)",
  "CREATE POLICY system_fills ON zone_day FOR INSERT TO tandem_system WITH CHECK (true)",
  // What has begun stays: not even a fault of ours moves it.
  "CREATE POLICY system_moves_what_is_to_come ON zone_day FOR UPDATE TO tandem_system USING (start_time > now()) WITH CHECK (start_time > now())",
  "CREATE POLICY system_sees_all ON zone_year TO tandem_system USING (true) WITH CHECK (true)",
  "GRANT SELECT, INSERT, UPDATE (start_time) ON zone_day TO tandem_system",
  "GRANT SELECT, INSERT, UPDATE (data_version) ON zone_year TO tandem_system",
] as const;

// The first instant, of those at a quarter of an hour, at which a zone's calendar shows the day or
// a later one. A zone that this PostgreSQL does not know can have no closed period of it.
const DAYS_OF_PERIODS = `
INSERT INTO zone_day (time_zone, day, start_time)
  SELECT d.time_zone, d.day, min(q.at)
  FROM (SELECT DISTINCT u.time_zone, g.day::date AS day FROM usage_period u
          CROSS JOIN LATERAL generate_series(u.start_date::timestamp, u.end_date::timestamp, interval '1 day') AS g(day)
        WHERE u.start_date >= '2000-01-01' AND u.end_date < '2038-01-01') d
    CROSS JOIN LATERAL (
      SELECT d.day::timestamp AT TIME ZONE 'UTC' + make_interval(mins => 15 * k) AS at
      FROM generate_series(-96, 96) AS s(k)) q
  WHERE (q.at AT TIME ZONE d.time_zone)::date >= d.day
  GROUP BY d.time_zone, d.day
`;

const INSTANTS_OF_PERIODS = `
UPDATE usage_period u SET
  start_time = COALESCE((SELECT z.start_time FROM zone_day z WHERE z.time_zone = u.time_zone AND z.day = u.start_date),
    u.start_date::timestamp AT TIME ZONE 'UTC'),
  end_time = COALESCE((SELECT z.start_time FROM zone_day z WHERE z.time_zone = u.time_zone AND z.day = u.end_date),
    u.end_date::timestamp AT TIME ZONE 'UTC');
ALTER TABLE usage_period ALTER COLUMN start_time SET NOT NULL, ALTER COLUMN end_time SET NOT NULL;
`;

const QUARTER_MS = 900_000;
const DAY_MS = 86_400_000;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TABLES).execute(db);
  for (const statement of RIGHTS) await sql.raw(statement).execute(db);
  await sql.raw(DAYS_OF_PERIODS).execute(db);
  await sql.raw(INSTANTS_OF_PERIODS).execute(db);
  await keepDaysOfCalls(db);
}

async function keepDaysOfCalls(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{ time_zone: string; first: string; last: string }>`
    SELECT c.time_zone, min(r.call_date)::text AS first, max(r.call_date)::text AS last
    FROM carrier c JOIN call_result r ON r.carrier_id = c.carrier_id
    WHERE r.call_date >= '2000-01-01' AND r.call_date < '2037-12-31' GROUP BY c.time_zone`.execute(db);
  for (const { time_zone: zone, first, last } of rows)
    for (let ms = Date.parse(first); ms <= Date.parse(last) + DAY_MS; ms += DAY_MS) {
      const day = new Date(ms).toISOString().slice(0, 10);
      await sql`
        INSERT INTO zone_day (time_zone, day, start_time) VALUES (${zone}, ${day}::date, ${startOf(zone, ms)}::timestamptz)
        ON CONFLICT DO NOTHING`.execute(db);
    }
}

const calendars = new Map<string, Intl.DateTimeFormat>();

function startOf(timeZone: string, midnightMs: number): string {
  const day = new Date(midnightMs).toISOString().slice(0, 10);
  const calendar = calendars.get(timeZone) ?? new Intl.DateTimeFormat("en-CA", { timeZone, dateStyle: "short" });
  calendars.set(timeZone, calendar);
  let ms = midnightMs - DAY_MS;
  while (calendar.format(ms) < day) ms += QUARTER_MS;
  return new Date(ms).toISOString();
}
