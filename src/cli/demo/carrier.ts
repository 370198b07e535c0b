import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CursorStore, memoryCursorStore } from "../../client/cursor-store.ts";
import { type CdrRun, followCdrs } from "../../client/follow-cdrs.ts";
import type { FollowOptions, FollowResult } from "../../client/follow-feed.ts";
import { followNumbers, type NumberRun } from "../../client/follow-numbers.ts";
import type { UploadResult } from "../../client/upload.ts";
import { uploadDurations } from "../../client/upload-durations.ts";
import { DAY_MS } from "../../domain/time/instant.ts";
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
import type { SimulatedCarrier } from "../../simulator/world.ts";
import { readPages } from "../shared/pages.ts";
import { cutsAt, DEMO_OPTIONS, type Line } from "./line.ts";
import type { CarrierPlan } from "./plan.ts";

/** Within the contract's limit of 92 days for one list. */
const LIST_WINDOW_MS = 60 * DAY_MS;

/** A carrier offers its numbers to the platform. */
export async function provisionNumbers(
  line: Line,
  { carrierId, numbers }: SimulatedCarrier,
  sinceMs: number,
): Promise<NumberOutcome[]> {
  const items = numbers.map(({ assignment: _assignment, ...number }) => ({
    ...number,
    usages: [AssigneeKind.USER, AssigneeKind.VOICE_APPLICATION, AssigneeKind.CONFERENCE],
    capabilities: [NumberCapability.INBOUND_CALLS, NumberCapability.OUTBOUND_CALLS],
    effectiveTime: timestampFromMs(sinceMs),
  }));
  const request = { requestId: `demo-provision-${carrierId}`, items };
  return (await line.client(NumberService).provisionNumbers(request)).outcomes;
}

/** A carrier uploads its durations; the line is cut after an Ack and with a batch on the way. */
export async function uploadPlanned(
  line: Line,
  { carrier, durations }: CarrierPlan,
  onCommitted: (records: number) => void,
): Promise<UploadResult> {
  const records = durations.map(({ record }) => record);
  const cutOnAck = cutsAt(line, records.length, [0.3]);
  const cutOnSend = cutsAt(line, records.length, [0.6]);
  return await uploadDurations(line.client(DurationService), {
    uploadId: `demo-${carrier.carrierId}`,
    source: {
      read: (offset, limit) => {
        cutOnSend(offset);
        return records.slice(offset, offset + limit);
      },
    },
    batchRecords: Math.max(1, Math.min(50, Math.ceil(records.length / 12))),
    ...DEMO_OPTIONS,
    signal: line.signal,
    onEvent: (event) => {
      if (event.kind !== "COMMITTED") return;
      onCommitted(event.committedOffset);
      if (event.committedOffset < records.length) cutOnAck(event.committedOffset);
    },
  });
}

/** A carrier's durations as the platform has them, from `sinceMs` on. */
export async function listDurations(line: Line, state: DurationState, sinceMs: number): Promise<CallDuration[]> {
  const client = line.client(DurationService);
  const durations: CallDuration[] = [];
  const endMs = wallMs() + DAY_MS;
  for (let startMs = sinceMs; startMs < endMs; startMs += LIST_WINDOW_MS) {
    const [startTime, endTime] = [startMs, Math.min(startMs + LIST_WINDOW_MS, endMs)].map(timestampFromMs);
    const { items } = await readPages(
      (page) => client.listDurations({ ...page, state, startTime, endTime }),
      (page) => page.durations,
    );
    durations.push(...items);
  }
  return durations;
}

/** Follows a feed until its line's signal aborts. */
function followed({ signal }: Line, follow: (options: FollowOptions) => Promise<FollowResult>) {
  const { load, save } = memoryCursorStore();
  let sequence = 0n;
  const store: CursorStore = {
    load,
    save: (position) => {
      ({ sequence } = position);
      return save(position);
    },
  };
  const resumes = follow({ store, ...DEMO_OPTIONS, signal }).then((result) => result.resumes);
  // It is awaited at the end of the demo; a failure before must not end the process.
  resumes.catch(() => {});
  return {
    /** Up to which all is applied. */
    get sequence() {
      return sequence;
    },
    /** How often it resumed, once it has ended. */
    resumes,
  };
}

/** Follows a carrier's CDR feed, cut off on the way, and keeps the log by which it is judged. */
export function followCalls(line: Line, expectedEntries: number, onApplied: (entries: number) => void) {
  const cutAt = cutsAt(line, expectedEntries, [0.15, 0.45, 0.8]);
  const log: AppliedRun[] = [];
  let count = 0;
  const start = { case: "earliest" as const, value: create(FeedStartEarliestSchema) };
  const apply = async (run: CdrRun) => {
    log.push(loggedRun(run));
    count += run.entries.length;
    onApplied(count);
    cutAt(count);
  };
  const follow = (options: FollowOptions) => followCdrs(line.client(CdrService), { start, ...options, apply });
  return Object.assign(followed(line, follow), { log });
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

/** Keeps a copy of a carrier's numbers by following them, cut off on the way. */
export function mirrorNumbers(line: Line, expectedChanges: number) {
  const cutAt = cutsAt(line, expectedChanges, [0.3, 0.8]);
  const numbers = new Map<string, PhoneNumber>();
  const apply = async (run: NumberRun) => {
    for (const number of numbersIn(run)) {
      if (number.revision > (numbers.get(number.phoneNumber)?.revision ?? -1n)) numbers.set(number.phoneNumber, number);
    }
    cutAt(Number(run.position.sequence));
  };
  const start = "initialState";
  const follow = (options: FollowOptions) => followNumbers(line.client(NumberService), { start, ...options, apply });
  return Object.assign(followed(line, follow), { numbers });
}

function numbersIn(run: NumberRun): readonly PhoneNumber[] {
  if (run.kind === "SNAPSHOT") return run.numbers;
  if (run.kind === "SYNCED") return [];
  return run.changes.flatMap(({ change }) => (change.case === "phoneNumber" ? [change.value] : []));
}
