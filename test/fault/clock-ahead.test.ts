import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, EARLIEST, HEAD, ingest, NUMBER, readAll, runSql } from "../support/feed.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
  for (const carrierId of ["stopped", "other"]) {
    await exchange.addCarrier(carrierId);
    await exchange.assignNumbers(carrierId, [NUMBER]);
    await ingest(exchange, carrierId, [call("before")]);
    await setAhead(carrierId, 3_600);
  }
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** As if something had been committed while the database's clock was so far ahead. */
const setAhead = (carrierId: string, seconds: number) =>
  runSql(
    exchange,
    sql`UPDATE feed_head SET last_ingest_time = clock_timestamp() + make_interval(secs => ${seconds}) WHERE carrier_id = ${carrierId} AND feed = 2`,
  );

const clock = (...args: string[]) => runCli(["clock", ...args], { TANDEM_DATABASE_URL: exchange.databaseUrl });
const refused = { reason: "STORE_UNAVAILABLE", message: expect.stringContaining("tandem clock") };

test("after the database's clock was an hour ahead, `tandem clock` names the feeds that wait and lets one carrier's go on, with no ingest time going back", async () => {
  await expect(ingest(exchange, "stopped", [call("refused")])).rejects.toMatchObject(refused);
  const listed = await clock("list", "--json");
  expect(
    listed.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toMatchObject([
    { carrierId: "other", feed: "cdrs", isAccepted: false },
    { carrierId: "stopped", feed: "cdrs", isAccepted: false },
  ]);
  expect((await clock("accept", "--carrier", "stopped")).stderr).toContain("--yes");
  expect(await clock("accept", "--carrier", "stopped", "--yes")).toMatchObject({ code: 0 });

  await ingest(exchange, "stopped", [call("during-1")]);
  await ingest(exchange, "stopped", [call("during-2")]);
  const { ids, records } = await readAll(await exchange.carrierClient(CdrService, "stopped"), {
    start: EARLIEST,
    end: HEAD,
  });
  expect(ids).toEqual(["before", "during-1", "during-2"]);
  expect(records[2]?.ingestTime).toEqual(records[1]?.ingestTime);
  await expect(ingest(exchange, "other", [call("refused")])).rejects.toMatchObject(refused);
});

test("a feed that gets further ahead than was let through is stopped again, and one that is weeks ahead is not let through", async () => {
  await setAhead("stopped", 7_200);
  await expect(ingest(exchange, "stopped", [call("again")])).rejects.toMatchObject(refused);
  await setAhead("other", 30 * 86_400);
  expect((await clock("accept", "--yes")).stderr).toContain("21 days");
});
