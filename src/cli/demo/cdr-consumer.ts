import { create } from "@bufbuild/protobuf";
import { memoryCursorStore } from "../../client/cursor-store.ts";
import { type CdrRun, followCdrs } from "../../client/follow-cdrs.ts";
import type { FollowResult } from "../../client/follow-feed.ts";
import { CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { FeedStartEarliestSchema } from "../../gen/tandem/type/v1/feed_pb.js";
import type { AppliedRun } from "../../simulator/checker.ts";
import { CutsAt, type CuttableConnection, DEMO_OPTIONS } from "./cuttable-connection.ts";
import { RisingCount } from "./rising-count.ts";

/**
 * A carrier that follows its CDR feed live, is cut off on the way, and writes down what it has
 * applied.
 */
export class CdrConsumer {
  /** The log by which it is judged. */
  readonly log: AppliedRun[] = [];
  /** The sequence up to which it has applied all. */
  readonly position = new RisingCount();
  readonly done: Promise<FollowResult>;

  constructor(
    line: CuttableConnection,
    expectedEntries: number,
    signal: AbortSignal,
    onApplied: (entries: number) => void,
  ) {
    const cuts = new CutsAt(line, expectedEntries, [0.15, 0.45, 0.8]);
    let count = 0;
    this.done = followCdrs(line.client(CdrService), {
      start: { case: "earliest", value: create(FeedStartEarliestSchema) },
      store: memoryCursorStore(),
      ...DEMO_OPTIONS,
      signal,
      apply: async (run) => {
        this.log.push(loggedRun(run));
        count += run.entries.length;
        this.position.raise(run.position.sequence);
        onApplied(count);
        cuts.passed(count);
      },
    });
    // Awaited at the end of the demo; a failure before must not end the process.
    this.done.catch(() => {});
  }
}

function loggedRun({ entries, afterSequence, position }: CdrRun): AppliedRun {
  return {
    epoch: position.epoch,
    afterSequence,
    throughSequence: position.sequence,
    entries: entries.map(({ entry }) => {
      if (entry.case !== "record") throw new Error("an erasure arrived although nothing was erased");
      const { recordId, recordDate, revision, sequence } = entry.value;
      return { recordId, recordDate, revision: revision ?? 1, sequence };
    }),
  };
}
