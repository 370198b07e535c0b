import { afterAll, beforeAll, expect, test } from "vitest";
import { BAD_RECORD_TARGETS, runBadRecords } from "../support/bad-record-batches.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { FuzzClient } from "../support/fuzz-client.ts";
import { randomOf } from "../support/record-mutations.ts";
import { newCarrier } from "../support/upload-store.ts";

/** The seed of what happens to the records, and how many there are of them. */
const SEED = Number(process.env["TANDEM_TEST_RECORD_SEED"] ?? Date.now() % 2 ** 31);
const MUTATIONS = Number(process.env["TANDEM_TEST_RECORD_MUTATIONS"] ?? 2_000);
/** As many as one upload takes before it must wait for Acks. */
const BATCHES = 100;

let exchange: Exchange;
const resources = new AsyncDisposableStack();
beforeAll(async () => {
  exchange = resources.use(
    await startExchange({
      synchronousCommit: "off",
      maxCallsPerSecond: 100_000,
      maxBytesPerSecond: 1_000_000_000,
      maxOpenUploads: 1_000_000,
    }),
  );
});
afterAll(() => resources.disposeAsync());

test.each(BAD_RECORD_TARGETS.map((target) => ({ target, name: `${target.method.name} ${target.wire}` })))(
  `one bad record in ten stops none of the others, whatever happened to it: $name (TANDEM_TEST_RECORD_SEED=${SEED})`,
  async ({ target }) => {
    const random = randomOf(SEED);
    const carrierId = await newCarrier(exchange);
    const tokens = {
      owner: await exchange.carrierToken(carrierId, { ttlSeconds: 36_000 }),
      other: await exchange.platformToken(),
    };
    await using client = new FuzzClient(exchange.url, tokens);
    let done = 0;
    let told = 0;
    for (const share = Math.ceil(MUTATIONS / BAD_RECORD_TARGETS.length); done < share; done += BATCHES) {
      const batches = Math.min(BATCHES, share - done);
      const run = await runBadRecords(client, target, random, { carrierId, batches });
      expect({ faults: run.faults, sent: run.faults.length > 0 ? run.sent : [] }).toEqual({ faults: [], sent: [] });
      told += run.told;
    }
    // Most of what happens is told; some of it leaves a record that is as good as before.
    expect(told).toBeGreaterThan(done / 4);
  },
  3_600_000,
);
