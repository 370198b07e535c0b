import { expect, test } from "vitest";
import { carrierCall, HOUR_MS, TEN } from "../../../test/support/matching-calls.ts";
import type { CarrierFacts } from "../../domain/matching/facts.ts";
import { CarrierVotes } from "./carrier-votes.ts";

const record: CarrierFacts = carrierCall("c", { startMs: TEN + 5_000 });

test("an hour's offset is by all that was heard of it, also after it was asked for", () => {
  const votes = new CarrierVotes([], []);
  const hear = (seconds: number, by: number) =>
    votes.hear([{ trunkId: "trunk-1", hourMs: TEN, bucket: String(seconds), isFar: false, by }]);

  hear(3_600, 20);
  expect(votes.offsetOf(record)?.offsetMs).toBe(HOUR_MS);
  hear(3_600, -20);
  hear(40, 25);
  expect(votes.offsetOf(record)?.offsetMs).toBe(40_000);
});

test("a copy knows what was heard before it, and neither hears what the other does after it", () => {
  const votes = new CarrierVotes([], []);
  const hear = (of: CarrierVotes, seconds: number, by: number) =>
    of.hear([{ trunkId: "trunk-1", hourMs: TEN, bucket: String(seconds), isFar: false, by }]);
  const offsetOf = (of: CarrierVotes) => of.offsetOf(record)?.offsetMs;
  hear(votes, 3_600, 20);
  expect(votes.offsetsInUse()).toEqual([HOUR_MS]);
  const copy = votes.copy();
  hear(votes, 3_600, -20);
  hear(votes, 40, 25);
  expect([offsetOf(votes), offsetOf(copy)]).toEqual([40_000, HOUR_MS]);
  hear(copy, 3_600, -20);
  hear(copy, 7_200, 25);
  expect([offsetOf(votes), offsetOf(copy)]).toEqual([40_000, 2 * HOUR_MS]);
  expect(votes.offsetsInUse()).toEqual([40_000]);
  expect(copy.changes().clock).toMatchObject([{ votes: { 7200: 25 } }]);
});
