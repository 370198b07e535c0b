import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { identityText } from "../../src/domain/carriers/principal.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import {
  DurationService,
  type UploadDurationsRequestSchema,
} from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { run } from "../../src/store/database/run.ts";
import { addCarrier } from "../support/carriers.ts";
import { stepClockBack } from "../support/clock.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { pace } from "../support/pace.ts";
import { reasonOf } from "../support/refusal.ts";

const HOUR_MS = 3_600_000;

let app: Exchange;

beforeAll(async () => {
  app = await startExchange({ accessCacheMs: 50, heartbeatIntervalMs: 500 });
  await addCarrier(app.services.db, "acme");
  await addCarrier(app.services.db, "sleeper");
});
afterAll(() => app?.[Symbol.asyncDispose]());

test("a carrier that is suspended is refused within the time that look-ups are believed, though the clock has stepped back an hour", async () => {
  const list = await lister("sleeper");
  expect(await reasonOf(list())).toBe("OK");
  using _early = stepClockBack(HOUR_MS);
  expect(await reasonOf(list())).toBe("OK");
  await setSuspended("sleeper", true);
  await expect.poll(() => reasonOf(list())).toBe("CARRIER_SUSPENDED");
  await setSuspended("sleeper", false);
  await expect.poll(() => reasonOf(list())).toBe("OK");
});

test("an identity that has expired is nobody's, though the clock has stepped back since", async () => {
  const { issuer } = app.services.config.tokens;
  const identity = { kind: "jwt", issuer, subject: "borrowed" } as const;
  const expireTime = microsFromMs(Date.now() + 2_000);
  await addCarrier(app.services.db, "lender", { credentials: [{ identity, expireTime }] });
  const { access } = app.services;
  const owners = async () => (await access.findOwners([identityText(identity)])).map(({ carrierId }) => carrierId);
  expect(await owners()).toEqual(["lender"]);
  await expect.poll(owners).toEqual([]);
  using _early = stepClockBack(HOUR_MS);
  expect(await owners()).toEqual([]);
  access.forget();
  expect(await owners()).toEqual([]);
});

test("heartbeats go on, of feeds and of uploads, when the clock steps back an hour", async () => {
  const over = app.connect(await app.carrierToken("acme"));
  const stop = new AbortController();
  const start = { position: { case: "latest", value: {} } } as const;
  const feed = count(createClient(CdrService, over).streamCdrs({ start }, { signal: stop.signal }));
  const upload = count(
    createClient(DurationService, over).uploadDurations(frames(stop.signal), { signal: stop.signal }),
  );
  await expect.poll(() => Math.min(feed.heartbeats, upload.heartbeats)).toBeGreaterThan(0);
  using _early = stepClockBack(HOUR_MS);
  // One may have been on its way.
  const [ofFeed, ofUpload] = [feed.heartbeats + 3, upload.heartbeats + 3];
  await expect.poll(() => feed.heartbeats).toBeGreaterThan(ofFeed);
  await expect.poll(() => upload.heartbeats).toBeGreaterThan(ofUpload);
  stop.abort();
  await Promise.all([feed.ended, upload.ended]);
});

async function lister(carrierId: string) {
  const client = createClient(DurationService, app.connect(await app.carrierToken(carrierId)));
  return () => client.listUploads({});
}

async function setSuspended(carrierId: string, suspended: boolean): Promise<void> {
  await systemTransaction(
    app.services.db,
    (tx) => run(tx)`UPDATE carrier SET suspended = ${suspended} WHERE carrier_id = ${carrierId}`,
  );
}

async function* frames(signal: AbortSignal): AsyncGenerator<MessageInitShape<typeof UploadDurationsRequestSchema>> {
  yield { frame: { case: "open", value: { uploadId: "clock" } } } as const;
  while (!signal.aborted) {
    await pace(20, signal);
    yield { frame: { case: "keepAlive", value: {} } } as const;
  }
}

function count(messages: AsyncIterable<{ frame: { case: string | undefined } }>) {
  const counted = { heartbeats: 0, ended: Promise.resolve() };
  const read = async () => {
    for await (const { frame } of messages) if (frame.case === "heartbeat") counted.heartbeats += 1;
  };
  // The test ends it.
  counted.ended = read().catch(() => {});
  return counted;
}
