import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { addDays, type Micros } from "../../src/domain/time/instant.ts";
import { PINNED_ZONES, type ZoneData } from "../../src/domain/time/time-zone.ts";
import { runKeepZoneDays } from "../../src/jobs/keep-zone-days.ts";
import { type Database, isSqlState, openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { readClock } from "../../src/store/database/run.ts";
import { takeNewerZoneData, type ZoneChange } from "../../src/store/zone-days/newer-zone-data.ts";
import { readZoneDays } from "../../src/store/zone-days/zone-days.ts";
import { createMigratedDatabase } from "../support/database.ts";
import { startExchange } from "../support/exchange.ts";

const HOUR = 3_600_000_000n;
const today = new Date().toISOString().slice(0, 10);
const thisYear = Number(today.slice(0, 4));
const lastDay = `${thisYear + 1}-12-31`;

/** Data in which every day begins so much later than it does. */
function shifted(version: string, by: Micros): ZoneData {
  return {
    version,
    startsOfYear: (timeZone, year) => PINNED_ZONES.startsOfYear(timeZone, year).map((start) => start + by),
  };
}

const resources = new AsyncDisposableStack();
let url: string;
let db: Database;
let zone: string;
let zones = 0;

beforeAll(async () => {
  url = resources.use(await createMigratedDatabase()).url;
  db = resources.use(openDatabase({ url }));
});
afterAll(() => resources.disposeAsync());
beforeEach(() => {
  zone = `Etc/GMT-${++zones}`;
});

function startsOf(from: string, to: string, data?: ZoneData): Promise<readonly Micros[]> {
  return systemTransaction(db, async (tx) => (await readZoneDays(tx, zone, from, to, data)).starts);
}

function take(data: ZoneData): Promise<ZoneChange[]> {
  return systemTransaction(db, async (tx) => {
    const changes = await takeNewerZoneData(tx, data, await readClock(tx));
    return changes.filter(({ timeZone }) => timeZone === zone);
  });
}

test("days are filled by the year, once, also where many processes need them at the same moment", async () => {
  await using pools = new AsyncDisposableStack();
  const dbs = Array.from({ length: 4 }, () => pools.use(openDatabase({ url })));
  const read = (each: Database) =>
    systemTransaction(each, (tx) => readZoneDays(tx, zone, `${thisYear}-12-30`, `${thisYear + 1}-01-02`));
  const found = await Promise.all(dbs.flatMap((each) => [read(each), read(each), read(each)]));
  const [first, ...others] = found.map(({ starts }) => starts.join());
  expect(new Set(others)).toEqual(new Set([first]));
  const { rows } = await db.pool.query(
    "SELECT count(*)::int AS days, min(day)::text AS first, max(day)::text AS last FROM zone_day WHERE time_zone = $1",
    [zone],
  );
  expect(rows).toMatchObject([{ first: `${thisYear}-01-01`, last: lastDay }]);
  expect(await startsOf(`${thisYear}-12-30`, `${thisYear + 1}-01-02`)).toEqual(found[0]?.starts);
});

test("days of no call that can be are at midnight UTC, and are not kept", async () => {
  expect(await startsOf("1999-12-31", "1999-12-31")).toEqual([BigInt(Date.UTC(1999, 11, 31)) * 1_000n]);
  expect(await startsOf("9999-12-30", "9999-12-31")).toHaveLength(2);
  const { rows } = await db.pool.query("SELECT FROM zone_day WHERE time_zone = $1", [zone]);
  expect(rows).toEqual([]);
  const turn = await startsOf("1999-12-30", "2000-01-02");
  expect(turn).toEqual(turn.toSorted((a, b) => (a < b ? -1 : 1)));
});

describe("newer data", () => {
  test("moves days to come, and none that has begun or does so within a day; and says so", async () => {
    const before = await startsOf(`${thisYear}-01-01`, lastDay);
    const changes: (ZoneChange & { dataVersion: string })[] = [];
    const stop = new AbortController();
    const onChange = (change: (typeof changes)[number]) => {
      if (change.timeZone !== zone) return;
      changes.push(change);
      stop.abort();
    };
    const onError = (error: unknown) => {
      throw error;
    };
    const data = shifted(`9000${zones}`, HOUR);
    await runKeepZoneDays({ db, data, onChange, onError }, stop.signal);
    const after = await startsOf(`${thisYear}-01-01`, lastDay);
    const days = before.map((_, index) => addDays(`${thisYear}-01-01`, index));
    const moved = days.filter((_, index) => after[index] === (before[index] ?? 0n) + HOUR);
    const kept = days.filter((_, index) => after[index] === before[index]);
    expect([...kept, ...moved]).toEqual(days);
    expect(moved[0]?.localeCompare(addDays(today, 1))).toBe(1);
    expect(moved[0]?.localeCompare(addDays(today, 4))).toBe(-1);
    expect(changes).toEqual([{ timeZone: zone, moved, kept, dataVersion: data.version }]);
    expect(after).toEqual(after.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(await take(data)).toEqual([]);
  });

  test("is not undone by a process with older data, nor where two take it at the same moment", async () => {
    await startsOf(today, lastDay);
    const data = shifted(`9100${zones}`, HOUR);
    const both = await Promise.all([take(data), take(data)]);
    expect(both.flat()).toHaveLength(1);
    const after = await startsOf(today, lastDay);
    expect(await take(PINNED_ZONES)).toEqual([]);
    expect(await startsOf(today, lastDay, PINNED_ZONES)).toEqual(after);
  });

  test("that says the same of a zone says nothing of it", async () => {
    await startsOf(today, lastDay);
    expect(await take(shifted(`9200${zones}`, 0n))).toEqual([]);
  });

  test("is taken by a server as it starts, with a line in its log for each zone", async () => {
    await using database = await createMigratedDatabase();
    await using other = openDatabase({ url: database.url });
    await systemTransaction(other, (tx) => readZoneDays(tx, "Asia/Tokyo", `${thisYear + 1}-01-01`, lastDay));
    await other.pool.query("UPDATE zone_day SET start_time = start_time + interval '1 hour'");
    await other.pool.query("UPDATE zone_year SET data_version = '2000a'");
    await using app = await startExchange({ databaseUrl: database.url });
    await expect.poll(() => app.logged.join("\n")).toContain("newer time zone data");
    const line = JSON.parse(app.logged.find((each) => each.includes("newer time zone data")) ?? "{}") as object;
    expect(line).toMatchObject({ timeZone: "Asia/Tokyo", movedFrom: `${thisYear + 1}-01-01`, kept: 0 });
  });
});

test("not even a fault of ours moves a day that has begun: the database refuses it", async () => {
  await startsOf(today, lastDay);
  const move = (day: string, by: string) =>
    systemTransaction(db, (tx) =>
      sql`UPDATE zone_day SET start_time = start_time + ${by}::interval WHERE time_zone = ${zone} AND day = ${day}::date`.execute(
        tx,
      ),
    );
  expect((await move(addDays(today, -3), "1 hour")).numAffectedRows).toBe(0n);
  expect((await move(addDays(today, 5), "1 hour")).numAffectedRows).toBe(1n);
  const back = await move(addDays(today, 5), "-20 days").catch((error: unknown) => isSqlState(error, "42501"));
  expect(back).toBe(true);
});
