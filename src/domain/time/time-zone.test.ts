import fc from "fast-check";
import moment from "moment-timezone";
import { describe, expect, test } from "vitest";
import { type Micros, microsFromMs } from "./instant.ts";
import { daysOfYear, FIRST_ZONE_YEAR, isTimeZone, LAST_ZONE_YEAR, PINNED_ZONES } from "./time-zone.ts";
import { ZoneDays } from "./zone-days.ts";

const ZONES = moment.tz.names();
const FIRST_MS = Date.UTC(2020, 0, 2);
const END_MS = Date.UTC(2030, 11, 30);

/** The days from 2020 to 2030 of a zone. */
function daysOf(timeZone: string): ZoneDays {
  const years = Array.from({ length: 11 }, (_, index) => 2020 + index);
  return new ZoneDays(
    "2020-01-01",
    years.flatMap((year) => PINNED_ZONES.startsOfYear(timeZone, year)),
  );
}

function startIn(timeZone: string, day: string): string {
  const starts = PINNED_ZONES.startsOfYear(timeZone, Number(day.slice(0, 4)));
  return new Date(Number((starts[daysOfYear(Number(day.slice(0, 4))).indexOf(day)] ?? 0n) / 1_000n)).toISOString();
}

describe("a name", () => {
  test.each(["CET", "EET", "MET", "WET", "UTC", "EST5EDT", "Etc/GMT+12", "Asia/Calcutta", "America/Coyhaique"])(
    "of the IANA database is one of a time zone: %s",
    (name) => expect(isTimeZone(name)).toBe(true),
  );

  test.each([
    "",
    "PST",
    "IST",
    "JST",
    "CEST",
    "SystemV/EST5EDT",
    "europe/berlin",
    "utc",
    "+01:00",
    "UTC+1",
    "localtime",
  ])("that only Node, PostgreSQL or a system has is none: %s", (name) => expect(isTimeZone(name)).toBe(false));
});

describe("days of all zones from 2020 to 2030", () => {
  const days = new Map(ZONES.map((zone) => [zone, daysOf(zone)]));

  test("follow each other, and begin at a minute", () => {
    const faults = ZONES.filter((zone) => {
      const starts = days.get(zone)?.starts ?? [];
      return starts.some((start, index) => start % 60_000_000n !== 0n || start <= (starts[index - 1] ?? -1n));
    });
    expect(faults).toEqual([]);
  });

  test("have each instant in exactly one of them: that which the zone's calendar shows", () => {
    const holds = (zone: string, ms: number) => {
      const { starts } = days.get(zone) as ZoneDays;
      const at = microsFromMs(ms);
      const day = days.get(zone)?.dayOf(at) ?? "";
      const within = starts.filter((start, index) => start <= at && at < (starts[index + 1] ?? at));
      expect(within).toEqual([days.get(zone)?.startOf(day)]);
      expect(day, `${zone} at ${ms}`).toBe(moment.tz(ms, zone).format("YYYY-MM-DD"));
    };
    fc.assert(
      fc.property(fc.constantFrom(...ZONES), fc.integer({ min: FIRST_MS, max: END_MS }), (zone, ms) => holds(zone, ms)),
      { numRuns: 3_000 },
    );
    // Around every change of clocks, where days are longer and shorter.
    for (const zone of ZONES)
      for (const until of moment.tz.zone(zone)?.untils ?? [])
        if (until >= FIRST_MS + 7_200_000 && until < END_MS - 7_200_000)
          for (const off of [-7_200_000, -3_600_000, -1, 0, 1, 1_800_000, 3_600_000]) holds(zone, until + off);
  });
});

test.each([
  ["Atlantic/Azores", "2026-10-25", "2026-10-25T00:00:00.000Z"],
  ["America/Havana", "2026-11-01", "2026-11-01T04:00:00.000Z"],
])("where midnight comes twice, the day begins with the first: %s", (zone, day, start) => {
  expect(startIn(zone, day)).toBe(start);
});

test.each([
  ["Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00.000Z"],
  ["Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00.000Z"],
])("where there is no midnight, the day begins with the first minute that there is: %s", (zone, day, start) => {
  expect(startIn(zone, day)).toBe(start);
});

test("a day that a zone left out begins with the next, and has no instant", () => {
  const [before, none, after] = ["2011-12-29", "2011-12-30", "2011-12-31"].map((day) => startIn("Pacific/Apia", day));
  expect([before, none, after]).toEqual([
    "2011-12-29T10:00:00.000Z",
    "2011-12-30T10:00:00.000Z",
    "2011-12-30T10:00:00.000Z",
  ]);
  const years = [2011, 2012].flatMap((year) => PINNED_ZONES.startsOfYear("Pacific/Apia", year));
  const days = new ZoneDays("2011-01-01", years);
  const at = (iso: string): Micros => microsFromMs(Date.parse(iso));
  expect([days.dayOf(at("2011-12-30T09:59:59.999Z")), days.dayOf(at("2011-12-30T10:00:00Z"))]).toEqual([
    "2011-12-29",
    "2011-12-31",
  ]);
});

test.each([
  ["PST", "America/Los_Angeles"],
  ["europe/berlin", "Europe/Berlin"],
])("the name %s, which was taken before names were checked, goes on meaning %s", (name, zone) => {
  expect(PINNED_ZONES.startsOfYear(name, 2026)).toEqual(PINNED_ZONES.startsOfYear(zone, 2026));
});

test("an instant outside the days, and a day that is none of them, are mistakes", () => {
  const days = new ZoneDays("2026-01-01", [0n, 10n, 20n]);
  expect([days.dayOf(0n), days.dayOf(19n), days.startOf("2026-01-03")]).toEqual(["2026-01-01", "2026-01-02", 20n]);
  for (const instant of [-1n, 20n]) expect(() => days.dayOf(instant)).toThrow(RangeError);
  for (const day of ["2025-12-31", "2026-01-04"]) expect(() => days.startOf(day)).toThrow(RangeError);
});

test("days begin with a quarter of an hour of UTC in every zone: usage is summed by them", () => {
  const years = Array.from({ length: LAST_ZONE_YEAR - FIRST_ZONE_YEAR + 1 }, (_, index) => FIRST_ZONE_YEAR + index);
  const isOdd = (zone: string) =>
    years.some((year) => PINNED_ZONES.startsOfYear(zone, year).some((start) => start % 900_000_000n !== 0n));
  expect(ZONES.filter(isOdd)).toEqual([]);
});
