import { expect, test } from "vitest";
import { FeedId } from "../domain/feed-id.ts";
import type { PolledHead } from "../store/feeds/feed-head.ts";
import { FeedHub } from "./hub.ts";

/** A feed as its counter row says, and what a hub asks of the database. */
class Source {
  headSequence = 5n;
  changes = 1;
  polls = 0;
  questions = 0;

  openHub(): FeedHub {
    return new FeedHub({
      pollIntervalMs: 1,
      poll: async (carrierIds) => {
        this.polls++;
        return carrierIds.map((carrierId) => this.#headOf(carrierId));
      },
      countChanges: async () => {
        this.questions++;
        return this.changes;
      },
    });
  }

  #headOf(carrierId: string): PolledHead {
    const { headSequence } = this;
    const ends = { epoch: 1n, earliestSequence: 1n, headSequence, lastIngestTime: headSequence };
    return { carrierId, feed: FeedId.CDRS, payloadGeneration: 1n, lostSince: undefined, ...ends };
  }
}

test("heads are not polled again while nothing was written, and are believed all the same", async () => {
  const source = new Source();
  await using hub = source.openHub();
  using subscription = hub.subscribe("acme", FeedId.CDRS);
  await expect.poll(() => subscription.polledHead?.head.headSequence).toBe(5n);
  const since = subscription.polledHead?.since ?? 0;
  const { questions } = source;
  await expect.poll(() => source.questions).toBeGreaterThan(questions + 5);
  expect(source.polls).toBe(1);
  expect(subscription.polledHead?.since).toBeGreaterThan(since);
});

test("heads are polled when something was written, and for a feed that was not polled yet", async () => {
  const source = new Source();
  await using hub = source.openHub();
  using subscription = hub.subscribe("acme", FeedId.CDRS);
  await expect.poll(() => source.polls).toBe(1);
  source.headSequence = 6n;
  source.changes++;
  await expect.poll(() => subscription.isPast(5n)).toBe(true);
  using other = hub.subscribe("other", FeedId.CDRS);
  await expect.poll(() => other.polledHead?.head.headSequence).toBe(6n);
});

test("a hint that says more than there is is believed until the next poll, written or not", async () => {
  const source = new Source();
  await using hub = source.openHub();
  using subscription = hub.subscribe("acme", FeedId.CDRS);
  await expect.poll(() => source.polls).toBe(1);
  hub.hear("acme", FeedId.CDRS, 9n);
  expect(subscription.isPast(5n)).toBe(true);
  await expect.poll(() => subscription.isPast(5n)).toBe(false);
});
