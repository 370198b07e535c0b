import { expect, test } from "vitest";
import type { FeedHead } from "../store/feeds/feed-head.ts";
import type { StoredPage } from "../store/feeds/feed-page.ts";
import { SharedPages } from "./shared-pages.ts";

const key = { carrierId: "alpha", feed: 2, variant: "plain", after: { sequence: 10n, ingestTime: 5n } };

function head(payloadGeneration = 0n, epoch = 1n): FeedHead {
  return {
    epoch,
    earliestSequence: 1n,
    headSequence: 20n,
    lastIngestTime: 0n,
    payloadGeneration,
    lostSince: undefined,
  };
}

function page(at: FeedHead, through = 20n): StoredPage<string> {
  return {
    throughSequence: through,
    throughIngestTime: 0n,
    entries: [`${at.epoch}/${at.payloadGeneration}`],
    head: at,
    isSameHistory: true,
  };
}

test("streams that ask at once share one read, and later ones the page", async () => {
  const pages = new SharedPages<string>();
  let reads = 0;
  const load = async () => {
    reads++;
    return page(head());
  };
  const all = await Promise.all([1, 2, 3].map(() => pages.read(key, head(), load)));
  expect(new Set(all).size).toBe(1);
  expect(await pages.read(key, head(), load)).toBe(all[0]);
  expect(reads).toBe(1);
});

test("a page of before an erasure, or of another epoch, is read again", async () => {
  const pages = new SharedPages<string>();
  expect((await pages.read(key, head(), async () => page(head()))).entries[0]).toBe("1/0");
  expect((await pages.read(key, head(1n), async () => page(head(1n)))).entries[0]).toBe("1/1");
  expect((await pages.read(key, head(1n, 2n), async () => page(head(1n, 2n)))).entries[0]).toBe("2/1");
});

test("another carrier, another variant and another position have pages of their own", async () => {
  const pages = new SharedPages<string>();
  await pages.read(key, head(), async () => page(head()));
  for (const other of [
    { carrierId: "beta" },
    { variant: "network" },
    { after: { sequence: 11n, ingestTime: 5n } },
    { after: { sequence: 10n, ingestTime: 6n } },
    { feed: 1 },
  ]) {
    let read = false;
    await pages.read({ ...key, ...other }, head(), async () => {
      read = true;
      return page(head());
    });
    expect(read).toBe(true);
  }
});

test("neither a failure nor an empty page is kept, and there is a limit", async () => {
  const pages = new SharedPages<string>();
  await expect(pages.read(key, head(), () => Promise.reject(new Error("away")))).rejects.toThrow("away");
  await pages.read(key, head(), async () => page(head(), 10n));
  expect(pages.size).toBe(0);
  for (let after = 0n; after < 100n; after++)
    await pages.read({ ...key, after: { sequence: after, ingestTime: 5n } }, head(), async () =>
      page(head(), after + 1n),
    );
  expect(pages.size).toBe(32);
});
