import fc from "fast-check";
import { expect, test } from "vitest";
import { FeedId } from "../../domain/feed-id.ts";
import { type HeadJudgement, judgeHead, type SeenHead, SeenHeads } from "./seen-heads.ts";

function head(timeline: number, epoch: number, headSequence: number, lastIngestTime = 0): SeenHead {
  return {
    timeline: BigInt(timeline),
    epoch: BigInt(epoch),
    headSequence: BigInt(headSequence),
    lastIngestTime: BigInt(lastIngestTime),
  };
}

interface Case {
  readonly name: string;
  readonly seen?: SeenHead;
  readonly found: SeenHead;
  readonly newest?: number;
  readonly is: HeadJudgement;
}

const CASES: readonly Case[] = [
  { name: "the feed was never seen", found: head(2, 1, 5), is: "goes on" },
  { name: "nothing was lost", seen: head(1, 1, 185), found: head(2, 1, 185), is: "goes on" },
  { name: "it has gone on", seen: head(1, 1, 185), found: head(2, 1, 186), is: "goes on" },
  { name: "five are lost", seen: head(1, 1, 185), found: head(2, 1, 180), is: "stepped back" },
  { name: "one is lost", seen: head(1, 1, 185), found: head(2, 1, 184), is: "stepped back" },
  { name: "all are lost", seen: head(1, 1, 185), found: head(2, 1, 0), is: "stepped back" },
  { name: "two failovers since", seen: head(1, 1, 185), found: head(3, 1, 180), is: "stepped back" },
  { name: "a new epoch is lost, with no entry", seen: head(1, 2, 185), found: head(2, 1, 185), is: "stepped back" },
  { name: "a new epoch is lost, and entries came", seen: head(1, 2, 185), found: head(2, 1, 300), is: "stepped back" },
  { name: "another process began the new epoch", seen: head(1, 1, 185), found: head(2, 2, 180), is: "goes on" },
  {
    name: "the same timeline, less: a restore without recovery",
    seen: head(1, 1, 185),
    found: head(1, 1, 180),
    is: "goes on",
  },
  {
    name: "the old server still answers",
    seen: head(2, 1, 180),
    found: head(1, 1, 185),
    newest: 2,
    is: "of an older server",
  },
  {
    name: "the old server, whose feed was seen there only",
    seen: head(1, 1, 185),
    found: head(1, 1, 185),
    newest: 2,
    is: "of an older server",
  },
  {
    name: "the old server, before the watch knew of the new one",
    seen: head(2, 1, 180),
    found: head(1, 1, 185),
    newest: 1,
    is: "of an older server",
  },
];

test.each(CASES)("a head that a writer finds: $name", ({ seen, found, newest, is }) => {
  expect(judgeHead(seen, found, newest === undefined ? found.timeline : BigInt(newest))).toBe(is);
});

/** What happens to a feed, and to the servers that have it. */
const act = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("write" as const), count: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("others write" as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("poll" as const), isLate: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("fail over" as const), lost: fc.integer({ min: 0, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("the old server answers a writer" as const) }) },
);

/** One feed: what is committed, and what this process was told of histories that are over. */
class Feeds {
  readonly heads = new SeenHeads();
  now = head(1, 1, 0);
  before = this.now;
  /**
   * The highest sequence that this process was told of in this epoch, and the timeline on which it
   * was.
   */
  told = { sequence: 0n, timeline: 1n };

  tell({ timeline, headSequence: sequence }: SeenHead): void {
    if (sequence >= this.told.sequence && timeline >= this.told.timeline) this.told = { sequence, timeline };
  }

  /** What a writer of this process is told, which has the feed's row. */
  write(found: SeenHead, count: bigint): HeadJudgement {
    const judgement = judgeHead(this.heads.find("alpha", FeedId.CDRS), found, this.heads.timeline ?? 0n);
    if (judgement !== "goes on") return judgement;
    this.heads.believe("alpha", FeedId.CDRS, found);
    this.now = { ...found, headSequence: found.headSequence + count };
    this.heads.advance("alpha", FeedId.CDRS, found.timeline, this.now.headSequence);
    this.tell(this.now);
    return judgement;
  }

  failOver(lost: bigint): void {
    const { timeline, headSequence } = this.now;
    this.before = this.now;
    this.now = { ...this.now, timeline: timeline + 1n, headSequence: headSequence > lost ? headSequence - lost : 0n };
    this.heads.timeline = this.now.timeline;
  }

  beginEpoch(): void {
    this.now = { ...this.now, epoch: this.now.epoch + 1n };
    this.heads.note("alpha", FeedId.CDRS, this.now);
    this.told = { sequence: this.now.headSequence, timeline: this.now.timeline };
  }
}

test("whatever happens, a writer is refused exactly while the feed lacks what this process was told of it", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const feeds = new Feeds();
      feeds.heads.timeline = 1n;
      for (const step of acts) {
        if (step.kind === "write") {
          const isLost = feeds.told.sequence > feeds.now.headSequence;
          expect(feeds.write(feeds.now, BigInt(step.count))).toBe(isLost ? "stepped back" : "goes on");
          if (isLost) feeds.beginEpoch();
        } else if (step.kind === "others write") {
          feeds.now = { ...feeds.now, headSequence: feeds.now.headSequence + BigInt(step.count) };
        } else if (step.kind === "poll") {
          // An answer that is late is of the server of before, in the epoch of then.
          const polled = step.isLate ? feeds.before : feeds.now;
          feeds.heads.note("alpha", FeedId.CDRS, polled);
          if (polled.epoch === feeds.now.epoch) feeds.tell(polled);
        } else if (step.kind === "fail over") {
          feeds.failOver(BigInt(step.lost));
        } else if (feeds.now.timeline > 1n) {
          expect(feeds.write({ ...feeds.before, timeline: feeds.now.timeline - 1n }, 1n)).toBe("of an older server");
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test("what is remembered has a limit: the feed that was seen first is forgotten", () => {
  const heads = new SeenHeads(2);
  for (const carrierId of ["first", "second", "third"]) heads.note(carrierId, FeedId.CDRS, head(1, 1, 5));
  expect(["first", "second", "third"].map((id) => heads.find(id, FeedId.CDRS)?.headSequence)).toEqual([
    undefined,
    5n,
    5n,
  ]);
  expect(heads.seenBefore(2n).map(({ carrierId }) => carrierId)).toEqual(["second", "third"]);
});
