import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { createRandom } from "../../src/simulator/random.ts";
import type { Arriving } from "../../src/simulator/reconciliation/played-call.ts";
import type { CallTruth } from "../../src/simulator/reconciliation/truth.ts";
import type { SimulatedCarrier } from "../../src/simulator/world.ts";
import { TrafficSite } from "./site.ts";
import { findUndecidable } from "./undecidable.ts";
import { usageOfCalls } from "./usage-truth.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** What is agreed with the carrier of a world. */
export interface TrafficAgreement {
  /** In which the days of usage are cut; an IANA name. */
  readonly timeZone: string;
  /** Which directions the carrier reports; answered calls, no emergency calls. Default: both. */
  readonly directions: readonly number[];
  readonly graceMs: number;
  readonly toleranceMs: number;
}

export interface TrafficShape {
  readonly name: string;
  /** Plays so many real calls, or a few more. */
  readonly play: (site: TrafficSite, callCount: number) => void;
}

export interface TrafficMix {
  /** Each with its share of the calls, relative to the others. */
  readonly shapes: readonly { readonly shape: TrafficShape; readonly share: number }[];
  /** Share of the calls in a row that have a fault of their own. Default: 0.05. */
  readonly faultShare?: number;
  /** What pauses between calls are multiplied by. Default: 1. */
  readonly pace?: number;
}

export interface TrafficPlan {
  readonly name: string;
  /** What it is made of, by the seed where it is drawn from it. */
  readonly draw: (seed: string) => TrafficMix;
  /** What differs from the usual agreement. */
  readonly agreement?: Partial<TrafficAgreement>;
}

export interface TrafficWorldOptions {
  readonly seed: string;
  /** Whose numbers the calls are of. */
  readonly carrier: SimulatedCarrier;
  readonly callCount: number;
  /** Share of the calls of which both sides have correlation ids, 0..1. */
  readonly correlatedShare: number;
  /** The first UTC day, `YYYY-MM-DD`. */
  readonly startDay: string;
  /** Default: 3. */
  readonly dayCount?: number;
}

/** The truth of a call, and of which real call it is: a copy is of the same one. */
export interface TrafficTruth extends CallTruth {
  readonly call: number;
}

/** Both sides' records of real calls, in the order of their arrival, and what must come out. */
export interface TrafficWorld extends TrafficAgreement {
  readonly name: string;
  /** With its own numbers, and who has them. */
  readonly carrier: SimulatedCarrier;
  /** When all of it is judged: six hours after the last day. */
  readonly nowMs: number;
  readonly cdrs: readonly Arriving<CallDetailRecord>[];
  readonly durations: readonly Arriving<CallDuration>[];
  /** One for each real call and each copy. `isAmbiguous`: undecidable, see `findUndecidable`. */
  readonly truths: readonly TrafficTruth[];
  /** Connected milliseconds of the decidable calls, by `customer day` in the agreement's zone. */
  readonly usage: ReadonlyMap<string, number>;
}

/** Makes the records of some days of traffic, and their truths. The same for the same seed. */
export function createTrafficWorld(plan: TrafficPlan, options: TrafficWorldOptions): TrafficWorld {
  const { carrier, callCount, dayCount = 3 } = options;
  const agreement = { ...USUAL, timeZone: carrier.timeZone, ...plan.agreement };
  const startMs = Date.parse(`${options.startDay}T00:00:00Z`);
  const endMs = startMs + dayCount * DAY_MS;
  const nowMs = endMs + 6 * HOUR_MS;
  const random = createRandom(`${options.seed}/traffic/${plan.name}`);
  const { shapes, ...mood } = plan.draw(options.seed);
  const site = new TrafficSite({ ...options, ...agreement, ...mood, startMs, endMs, nowMs }, random);
  const sum = shapes.reduce((total, { share }) => total + share, 0);
  for (const { shape, share } of shapes) shape.play(site, Math.round((callCount * share) / sum));
  const undecidable = findUndecidable(site.calls);
  return {
    ...agreement,
    name: plan.name,
    carrier,
    nowMs,
    cdrs: byArrival(site.calls.flatMap(({ played }) => played.cdrs)),
    durations: byArrival(site.calls.flatMap(({ played }) => played.durations)),
    truths: site.calls.flatMap(({ made, played }, index) =>
      played.truths.map((truth) => ({
        ...truth,
        call: index,
        planted: made.plan.fault,
        isAmbiguous: undecidable.has(index),
      })),
    ),
    usage: usageOfCalls(
      site.calls.filter((_, index) => !undecidable.has(index)),
      agreement.timeZone,
    ),
  };
}

const USUAL = { directions: [1, 2], graceMs: DAY_MS, toleranceMs: 2_000 } as const;

function byArrival<T>(arriving: Arriving<T>[]): Arriving<T>[] {
  return arriving.sort((a, b) => a.arrivalMs - b.arrivalMs);
}
