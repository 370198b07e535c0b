import type { JsonObject } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageDimension, UsagePart } from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { runSql } from "../support/feed.ts";
import { at, bill, cdr, dialog, duration, e164, makeWorld, OTHER, OWN, other, type World } from "../support/trouble.ts";

// Trouble that others have had, from the doors that records come in by to what a user is told.
// docs/decisions/0009 has the table of which case is tested where.

const DIALOG = dialog("r2@192.0.2.1");

let exchange: Exchange;
let worlds = 0;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const world = (settings = {}): Promise<World> => makeWorld(exchange, `pairs-${++worlds}`, settings);

/** One call that both sides have, and what became of it. */
async function pair(platform: Partial<Parameters<typeof cdr>[0]>, carrier: Partial<Parameters<typeof duration>[0]>) {
  const { ingest, append, judged } = await world();
  await ingest(cdr({ id: "p", ...platform }));
  await append(duration({ id: "c", start: 0.1, ...carrier }));
  return judged();
}

/** What was used through the carrier: attempts, connected milliseconds, and in which parts. */
async function usageOf(alone: Exchange, { carrierId }: World) {
  const usage = await alone.platformClient(UsageService);
  const days = { startDate: at(-172_800).slice(0, 10), endDate: at(172_800).slice(0, 10), timeZone: "UTC" };
  const { rows } = await usage.queryUsage({ customerId: carrierId, ...days, groupBy: [UsageDimension.CARRIER] });
  const row = rows.find(({ key }) => key?.carrierId === carrierId);
  const parts = row?.parts.map(({ usagePart }) => UsagePart[usagePart]);
  return [row?.totals?.attemptCount, row?.totals?.connectedDurationMs, parts];
}

describe("case 6: the carrier's own number that is not written as +E.164", () => {
  test.each([
    [other("01632960001", "GB")],
    [other("00441632960001")],
    [other("441632960001")],
    [other("+44(0)1632960001")],
    [other("sip:+441632960001@sbc.example.com")],
    [other("tel:+44-1632-960001")],
  ])("is its own, outbound and inbound: %j", async (own) => {
    const { ingest, append, judged } = await world();
    const inbound = { direction: "DIRECTION_INBOUND", from: e164(OTHER), start: 600 };
    await ingest(cdr({ id: "p1" }), cdr({ id: "p2", ...inbound, to: e164(OWN) }));
    const { counts } = await append(duration({ id: "c1", from: own }), duration({ id: "c2", ...inbound, to: own }));
    expect(counts?.accepted).toBe(2n);
    expect(await judged()).toEqual(["p1/c1 MATCHED_EXACT", "p2/c2 MATCHED_EXACT"]);
  });
});

describe("case 7: a called number that was changed on the way, in one dialog", () => {
  test.each([
    [{ kind: "PARTY_KIND_SHORT_CODE", value: "611", countryCode: "US" }, "+12025550111"],
    [e164("+18005550142"), "+12125550177"],
    [e164("+12025550123"), "+12025550199"],
  ])("is a finding, and the call is one: %j", async (dialed: JsonObject, reached) => {
    const judged = await pair({ to: dialed, more: DIALOG }, { to: e164(reached), more: DIALOG });
    expect(judged).toEqual(["p/c MATCHED_EXACT NUMBERS_DIFFER"]);
  });
});

describe("case 8: one subscriber with two E.164 spellings", () => {
  const SUBSCRIBERS: [string, string][] = [
    ["+5491155550101", "+541155550101"],
    ["+525555550101", "+5215555550101"],
    ["+390655550101", "+39655550101"],
  ];
  test.each(SUBSCRIBERS)("%s is %s, with and without a common dialog", async (platform, carrier) => {
    for (const more of [{}, DIALOG]) {
      const judged = await pair({ to: e164(platform), more }, { to: e164(carrier), more });
      expect(judged).toEqual(["p/c MATCHED_EXACT"]);
    }
  });
});

test.each([[{}], [DIALOG]])("case 10: +44 (0)1632 960105 is +441632960105: %j", async (more) => {
  const judged = await pair({ to: e164("+441632960105"), more }, { to: other("+44 (0)1632 960105"), more });
  expect(judged).toEqual(["p/c MATCHED_EXACT"]);
});

describe("case 11: a Session-ID of which a half is nil or absent", () => {
  const A = "ab30317f1a784dc48ff824d0d3715d86";
  const B = "47755a9de7794ba387653f2099600ef2";
  const NIL = "0".repeat(32);
  test.each([
    [`${A};${B}`, `${A};${NIL}`],
    [`${A};${NIL}`, A],
    [`${A};${B}`, `${B};${A}`],
    [`${A};remote=${B}`, `${A};${B}`],
  ])("%s joins %s, though the clocks are five minutes apart", async (platform, carrier) => {
    const ids = (sessionId: string) => ({ more: { correlation: { sessionId } } });
    expect(await pair(ids(platform), { ...ids(carrier), start: 300 })).toEqual(["p/c MATCHED_EXACT"]);
  });
});

describe("case 14: a caller that is hidden, written as a text", () => {
  const TEXTS = ["anonymous", "restricted", "anonymous@anonymous.invalid", "unknown", "unavailable", "private", "0"];
  const callers = [...TEXTS.map((text) => other(text)), other("+00000000000"), e164("+266696687")];
  test.each(callers.map((from) => [from]))("is no number that differs: %j", async (from) => {
    const { carrierId, ingest, append, judged } = await world();
    const inbound = { direction: "DIRECTION_INBOUND", to: e164(OWN) };
    await ingest(cdr({ id: "p", ...inbound, from }));
    await append(duration({ id: "c", start: 0.1, ...inbound, from: e164("+441632960155") }));
    expect(await judged()).toEqual(["p/c MATCHED_EXACT"]);
    // By which usage is grouped: the keypad's spelling of "anonymous" is no caller from Lesotho.
    const [row] = await runSql<{ other_country: string | null }>(
      exchange,
      sql`SELECT other_country FROM call_result WHERE carrier_id = ${carrierId}`,
    );
    expect(row).toEqual({ other_country: null });
  });
});

describe("case 15: ids that count anew each day", () => {
  const DAY_S = 86_400;
  test.each([
    ["a test call to one number, of 10 s", 10],
    ["a call that nobody answered", null],
  ])("%s, a day later to the second, is another call", async (_, talk) => {
    const { ingest, append, judged } = await world({
      reportingScopes: [{ directions: [1], unanswered: true, emergency: false }],
    });
    const calls = [
      { id: "000001", start: -DAY_S, talk },
      { id: "000001", start: 0, talk },
    ];
    const { receipt } = await ingest(...calls.map(cdr));
    const { counts, outcomes } = await append(...calls.map(duration));
    expect([receipt.counts?.accepted, counts?.accepted, outcomes]).toEqual([2n, 2n, []]);
    const status = talk === null ? "MATCHED_UNANSWERED" : "MATCHED_EXACT";
    expect(await judged()).toEqual([`000001/000001 ${status}`]);
    const rows = await runSql(exchange, sql`SELECT FROM call_result WHERE carrier_id = ${`pairs-${worlds}`}`);
    expect(rows).toHaveLength(2);
  });
});

test("case 16: a dialog that the platform splits by a transfer is one call, and its minutes count once", async () => {
  // Usage goes to the one who holds the number, and the carriers of these tests all do.
  await using alone = await startExchange();
  const transfer = await makeWorld(alone, "transfer");
  const more = dialog("t@192.0.2.1");
  await transfer.ingest(
    cdr({ id: "p1", talk: 60, more }),
    cdr({
      id: "p2",
      start: 65,
      talk: 120,
      ring: 0,
      more: { ...more, times: { inviteTime: at(65), answerTime: at(65), endTime: at(185) } },
    }),
  );
  await transfer.append(duration({ id: "c1", talk: 180, more }));
  expect(await transfer.judged()).toEqual(["p1/c1 MATCHED_EXACT", "p2/ PART_OF_CALL"]);
  expect(await usageOf(alone, transfer)).toEqual([1n, 180_000n, ["AGREED"]]);
});

describe("case 17: a minimum that is no multiple of the increment", () => {
  const BILLS: [incrementS: number, minimumS: number, talk: number, billed: number][] = [
    [60, 90, 45, 90],
    [60, 90, 91, 150],
    [60, 90, 151, 210],
    [6, 30, 32, 36],
    [6, 30, 3, 30],
    [6, 6, 7, 12],
    [1, 60, 61, 61],
  ];
  test.each(BILLS)("of %i s, at least %i s: %i s are billed as %i s", async (incrementS, minimumS, talk, billed) => {
    const { ingest, append, judged } = await world();
    await ingest(cdr({ id: "p", talk }));
    await append(bill("c", 0.1, billed, { incrementS, minimumS }));
    expect(await judged()).toEqual(["p/c MATCHED_EXACT"]);
  });
});

describe("case 25: an emergency call whose number each side writes in its own way", () => {
  const emergency = (value: string) => ({ kind: "PARTY_KIND_EMERGENCY", value, countryCode: "GB" });
  test.each([[emergency("999")], [e164("+441632960177")]])("112 at the platform, and at the carrier %j", async (to) => {
    const { ingest, append, judged } = await world({
      reportingScopes: [{ directions: [1], unanswered: false, emergency: true }],
    });
    await ingest(cdr({ id: "p", to: emergency("112"), more: DIALOG }));
    await append(duration({ id: "c", start: 0.1, to, more: DIALOG }));
    expect(await judged()).toEqual(["p/c MATCHED_EXACT NUMBERS_DIFFER"]);
  });
});

test.each([
  ["calls under 5 s are free", 4],
  ["10 s are included", 8],
])("case 35: a bill of 0 s by a rule that nobody can declare is a mismatch that says so: %s", async (_, talk) => {
  const { ingest, append, judged } = await world();
  await ingest(cdr({ id: "p", talk }));
  await append(bill("c", 0.1, 0));
  expect(await judged()).toEqual(["p/c DURATION_MISMATCH UNKNOWN"]);
});

describe("case 37: numbers as they are dialled within a country", () => {
  const seven = other("5550123", "US");
  test("+12025550123 is not taken for 5550123 without an id, and goes with it in one dialog", async () => {
    const to = e164("+12025550123");
    expect(await pair({ to }, { to: seven })).toEqual(["/c MISSING_AT_PLATFORM", "p/ MISSING_AT_CARRIER"]);
    expect(await pair({ to, more: DIALOG }, { to: seven, more: DIALOG })).toEqual(["p/c MATCHED_EXACT"]);
  });

  test("+5491155550107 is 0111555550107 in Argentina", async () => {
    const judged = await pair({ to: e164("+5491155550107") }, { to: other("0111555550107", "AR") });
    expect(judged).toEqual(["p/c MATCHED_EXACT"]);
  });
});
