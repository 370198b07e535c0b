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
