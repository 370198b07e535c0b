import { memoryCursorStore } from "../../client/cursor-store.ts";
import type { FollowResult } from "../../client/follow-feed.ts";
import { followNumbers, type NumberRun } from "../../client/follow-numbers.ts";
import { NumberService } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import type { PhoneNumber } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { CutsAt, type CuttableConnection, DEMO_OPTIONS } from "./cuttable-connection.ts";
import { RisingCount } from "./rising-count.ts";

/** A carrier's own copy of its numbers, kept by following them. */
export class NumberMirror {
  readonly numbers = new Map<string, PhoneNumber>();
  /** The sequence up to which it is complete. */
  readonly position = new RisingCount();
  readonly done: Promise<FollowResult>;

  constructor(line: CuttableConnection, expectedChanges: number, signal: AbortSignal) {
    const cuts = new CutsAt(line, expectedChanges, [0.3, 0.8]);
    this.done = followNumbers(line.client(NumberService), {
      start: "initialState",
      store: memoryCursorStore(),
      ...DEMO_OPTIONS,
      signal,
      apply: async (run) => {
        for (const number of numbersIn(run)) this.#apply(number);
        this.position.raise(run.position.sequence);
        cuts.passed(Number(run.position.sequence));
      },
    });
    // Awaited at the end of the demo; a failure before must not end the process.
    this.done.catch(() => {});
  }

  #apply(number: PhoneNumber): void {
    const known = this.numbers.get(number.phoneNumber);
    if (known === undefined || number.revision > known.revision) this.numbers.set(number.phoneNumber, number);
  }
}

function numbersIn(run: NumberRun): readonly PhoneNumber[] {
  if (run.kind === "SNAPSHOT") return run.numbers;
  if (run.kind === "SYNCED") return [];
  return run.changes.flatMap(({ change }) => (change.case === "phoneNumber" ? [change.value] : []));
}
