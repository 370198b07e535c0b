import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { memoryCursorStore } from "../../client/cursor-store.ts";
import { type CdrRun, followCdrs } from "../../client/follow-cdrs.ts";
import type { FollowResult } from "../../client/follow-feed.ts";
import { followNumbers, type NumberRun } from "../../client/follow-numbers.ts";
import type { UploadResult } from "../../client/upload.ts";
import { uploadDurations } from "../../client/upload-durations.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import type { CallDuration, DurationState } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { FeedStartEarliestSchema } from "../../gen/tandem/type/v1/feed_pb.js";
import {
  AssigneeKind,
  NumberCapability,
  type NumberOutcome,
  type PhoneNumber,
} from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { AppliedRun } from "../../simulator/checker.ts";
import { CutsAt, type CuttableConnection, DEMO_OPTIONS, openCuttable, RisingCount } from "./cuttable-connection.ts";
import type { CarrierPlan } from "./plan.ts";

const DAY_MS = 86_400_000;
/** Within the contract's limit of 92 days for one list. */
const LIST_WINDOW_MS = 60 * DAY_MS;

/**
 * One carrier's side of the demo. Each of its streams has a line of its own, which is cut on the
 * way.
 */
export class DemoCarrier implements AsyncDisposable {
  readonly plan: CarrierPlan;
  readonly mirror: NumberMirror;
  readonly consumer: CdrConsumer;
  readonly #lines: Record<"calls" | "mirror" | "consumer" | "uploads", CuttableConnection>;
  readonly #stop = new AbortController();

  constructor(options: {
    plan: CarrierPlan;
    url: string;
    token: string;
    onApplied: (entries: number) => void;
    signal: AbortSignal;
  }) {
    const { plan, url, token, signal } = options;
    const open = () => openCuttable(url, token);
    this.plan = plan;
    this.#lines = { calls: open(), mirror: open(), consumer: open(), uploads: open() };
    const until = AbortSignal.any([signal, this.#stop.signal]);
    this.mirror = new NumberMirror(this.#lines.mirror, 2 * plan.carrier.numbers.length, until);
    this.consumer = new CdrConsumer(this.#lines.consumer, plan.cdrs.length, until, options.onApplied);
  }

  get carrierId(): string {
    return this.plan.carrier.carrierId;
  }

  /** Offers its numbers to the platform. */
  async provision(sinceMs: number, signal: AbortSignal): Promise<NumberOutcome[]> {
    const items = this.plan.carrier.numbers.map(({ phoneNumber, numberType, countryCode, customerReference }) => ({
      phoneNumber,
      numberType,
      countryCode,
      customerReference,
      usages: [AssigneeKind.USER, AssigneeKind.VOICE_APPLICATION, AssigneeKind.CONFERENCE],
      capabilities: [NumberCapability.INBOUND_CALLS, NumberCapability.OUTBOUND_CALLS],
      effectiveTime: timestampFromMs(sinceMs),
    }));
    const request = { requestId: `demo-provision-${this.carrierId}`, items };
    return (await this.#lines.calls.client(NumberService).provisionNumbers(request, { signal })).outcomes;
  }

  /** Uploads its durations; the line is cut once after an Ack and once with a batch on the way. */
  async upload(signal: AbortSignal, onCommitted: (records: number) => void): Promise<UploadResult> {
    const records = this.plan.durations.map(({ record }) => record);
    const line = this.#lines.uploads;
    const onAck = new CutsAt(line, records.length, [0.3]);
    const onSend = new CutsAt(line, records.length, [0.6]);
    return await uploadDurations(line.client(DurationService), {
      uploadId: `demo-${this.carrierId}`,
      source: {
        read: (offset, limit) => {
          onSend.passed(offset);
          return records.slice(offset, offset + limit);
        },
      },
      batchRecords: Math.max(1, Math.min(50, Math.ceil(records.length / 12))),
      ...DEMO_OPTIONS,
      signal,
      onEvent: (event) => {
        if (event.kind !== "COMMITTED") return;
        onCommitted(event.committedOffset);
        if (event.committedOffset < records.length) onAck.passed(event.committedOffset);
      },
    });
  }

  /** The newest entry of its CDR feed. */
  async headSequence(signal: AbortSignal): Promise<bigint> {
    return (await this.#lines.calls.client(CdrService).getCdrFeed({}, { signal })).headSequence;
  }

  /** Its durations as the platform has them, from `sinceMs` on. */
  async listDurations(state: DurationState, sinceMs: number, signal: AbortSignal): Promise<CallDuration[]> {
    const durations: CallDuration[] = [];
    const endMs = wallMs() + DAY_MS;
    for (let startMs = sinceMs; startMs < endMs; startMs += LIST_WINDOW_MS) {
      const window = {
        startTime: timestampFromMs(startMs),
        endTime: timestampFromMs(Math.min(startMs + LIST_WINDOW_MS, endMs)),
      };
      let pageToken = "";
      do {
        const request = { ...window, state, pageSize: 1_000, pageToken };
        const page = await this.#lines.calls.client(DurationService).listDurations(request, { signal });
        durations.push(...page.durations);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
    }
    return durations;
  }

  /** Stops following; what was followed stays. */
  async stop(): Promise<{ mirrorResumes: number; consumerResumes: number }> {
    this.#stop.abort();
    const [mirror, consumer] = await Promise.all([this.mirror.done, this.consumer.done]);
    return { mirrorResumes: mirror.resumes, consumerResumes: consumer.resumes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled([this.mirror.done, this.consumer.done]);
    for (const line of Object.values(this.#lines)) line[Symbol.dispose]();
  }
}

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
