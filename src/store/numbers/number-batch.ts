import { FeedId } from "../../domain/feed-id.ts";
import { type NumberProblem, notHeld } from "../../domain/numbers/number-changes.ts";
import {
  findDuePeriods,
  isSameTimeline,
  type NumberKey,
  type NumberRow,
  type NumberTimeline,
  rowAt,
  stampTimeline,
  timelineUnderPort,
  timeOfChange,
} from "../../domain/numbers/number-state.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { addToTally, readTally, Tally } from "../carriers/carrier-tally.ts";
import type { Tx } from "../database/run.ts";
import { advanceFeed, type FeedLock } from "../feeds/feed-head.ts";
import { PortStage, readUnfinishedPorts, type StoredPort, writePorts } from "./number-port-rows.ts";
import { type EntryWrite, readCurrentRows, type StoredRow, writeCurrentRows, writeEntries } from "./number-rows.ts";
import { readTimelines, writeTimelines } from "./number-timelines.ts";

/** A number of one carrier as it is stored, under the lock of the carrier's numbers feed. */
export interface StoredNumber {
  readonly key: NumberKey;
  readonly timeline: NumberTimeline;
  /** Absent when the carrier never held it. */
  readonly row: StoredRow | undefined;
  /** A port that takes it away and is not done. */
  readonly port: StoredPort | undefined;
}

export interface NumberDecision {
  readonly timeline?: NumberTimeline;
  /** Null: the scheduled port is dropped. */
  readonly port?: StoredPort | null;
  /** The last claim by which the carrier holds it. */
  readonly claimTime?: Micros | undefined;
}

export interface NumberRefusal {
  readonly problem: NumberProblem;
  /** A held number that does not change may have been claimed anew. */
  readonly claimTime?: Micros | undefined;
}

/** What became of one number: its row, encoded as readers get it, or why nothing did. */
export type NumberResult = { readonly payload: Uint8Array } | { readonly problem: NumberProblem };

export interface NumberBatch {
  readonly carrierId: string;
  /** Distinct, at most 1,000. */
  readonly numbers: readonly string[];
  /** @param hasRoom whether the carrier may hold one number more. */
  readonly decide: (number: StoredNumber, now: Micros, hasRoom: boolean) => NumberDecision | NumberRefusal;
  readonly encode: (row: NumberRow) => Uint8Array;
  /** How many numbers the carrier may hold; absent: as many as there are. */
  readonly mostHeld?: number;
  /** Whether this is what carries out the ports that are due. */
  readonly portsMayBeDue?: boolean;
}

export interface NumberBatchOutcome {
  readonly results: ReadonlyMap<string, NumberResult>;
  /** The numbers that have new entries. */
  readonly changed: readonly string[];
  readonly headSequence: bigint;
}

/** A port of these numbers is due: it comes first and takes transactions of both carriers. */
export class PortDue extends Error {
  override readonly name = "PortDue";
  readonly ports: readonly StoredPort[];

  constructor(ports: readonly StoredPort[]) {
    super(`${ports.length} ports are due`);
    this.ports = ports;
  }
}

/**
 * Changes numbers of one carrier, 1,000 in a few statements. What was scheduled and is due comes
 * first, with entries of its own. Every change has an entry, for caches go by the feed's head.
 * @param lock of the numbers feed, taken by this transaction.
 * @throws PortDue before anything is written.
 */
export async function changeNumbers(tx: Tx, lock: FeedLock, batch: NumberBatch): Promise<NumberBatchOutcome> {
  const { carrierId, numbers } = batch;
  const stored = await readStoredNumbers(tx, carrierId, numbers);
  const due = stored.flatMap(({ port }) =>
    port?.stage === PortStage.SCHEDULED && port.effectiveTime <= lock.ingestTime ? [port] : [],
  );
  if (due.length > 0 && !batch.portsMayBeDue) throw new PortDue(due);

  const log = new EntryLog(lock);
  const room = new Room(batch.mostHeld === undefined ? undefined : await readTally(tx, carrierId, Tally.NUMBERS));
  const changes = stored.map((number) => room.watch(changeNumber(number, batch, log, room)));
  await writeTimelines(
    tx,
    carrierId,
    changes.map(({ number, after }) => ({
      phoneNumber: number.key.phoneNumber,
      before: number.timeline,
      after: after.timeline,
    })),
  );
  await writeCurrentRows(
    tx,
    carrierId,
    changes.flatMap(({ number, after }) => (after.row && after.row !== number.row ? [after.row] : [])),
  );
  await writePorts(
    tx,
    carrierId,
    changes.flatMap(({ number, after }) =>
      after.port === number.port ? [] : [{ before: number.port, after: after.port }],
    ),
  );
  await writeEntries(tx, carrierId, lock.ingestTime, log.entries);
  if (room.added !== 0n) await addToTally(tx, carrierId, Tally.NUMBERS, room.added);
  if (log.entries.length > 0) await advanceFeed(tx, carrierId, FeedId.NUMBERS, log.nextSequence);
  return {
    results: new Map(changes.map(({ number, result }) => [number.key.phoneNumber, result])),
    changed: [...new Set(log.entries.map((entry) => entry.phoneNumber))],
    headSequence: log.nextSequence - 1n,
  };
}

/** Reads numbers as they are stored, in the order of `numbers`. */
export async function readStoredNumbers(
  tx: Tx,
  carrierId: string,
  numbers: readonly string[],
): Promise<StoredNumber[]> {
  const timelines = await readTimelines(tx, carrierId, numbers);
  const rows = await readCurrentRows(tx, carrierId, numbers);
  const ports = await readUnfinishedPorts(tx, carrierId, numbers);
  return numbers.map((phoneNumber) => ({
    key: { carrierId, phoneNumber },
    timeline: timelines.get(phoneNumber) ?? [],
    row: rows.get(phoneNumber),
    port: ports.get(phoneNumber),
  }));
}

class ChangingNumber {
  readonly #key: NumberKey;
  readonly #encode: NumberBatch["encode"];
  readonly #log: EntryLog;
  timeline: NumberTimeline;
  port: StoredPort | undefined;
  row: StoredRow | undefined;

  constructor(number: StoredNumber, encode: NumberBatch["encode"], log: EntryLog) {
    this.#key = number.key;
    this.#encode = encode;
    this.#log = log;
    this.timeline = number.timeline;
    this.port = number.port;
    this.row = number.row;
  }

  /** Enters what was scheduled and has begun, each at its time, up to a port that is due. */
  settle(now: Micros): void {
    const portTime = scheduledTime(this.port);
    for (const due of findDuePeriods(this.timeline, portTime !== undefined && portTime <= now ? portTime - 1n : now)) {
      const stamp = this.#log.nextStamp();
      this.timeline = this.timeline.map((period) => (period === due ? { ...period, ...stamp } : period));
      this.#enter(due.start, undefined);
    }
  }

  /** Does what was decided, with an entry if that is anything. */
  apply(decision: NumberDecision, now: Micros): void {
    const { timeline = this.timeline, port = this.port ?? null, claimTime } = decision;
    const stamped = stampTimeline(this.timeline, timeline, now, this.#log.nextStamp());
    const isSame = isSameTimeline(this.timeline, stamped) && port === (this.port ?? null);
    this.timeline = isSame ? this.timeline : stamped;
    this.port = port ?? undefined;
    if (!isSame) this.#enter(now, claimTime);
    this.renewClaim(claimTime);
  }

  /** Keeps the last claim by which the number is held. */
  renewClaim(claimTime: Micros | undefined): void {
    if (this.row && claimTime !== undefined && claimTime > this.row.claimTime) this.row = { ...this.row, claimTime };
  }

  // Adds an entry with the row as it is at a time.
  #enter(time: Micros, claimTime: Micros | undefined): void {
    const row = rowAt(this.#key, timelineUnderPort(this.timeline, scheduledTime(this.port)), time);
    if (!row) throw new Error("a change left a number without a period");
    const stamp = this.#log.nextStamp();
    const previous = this.row;
    this.row = {
      phoneNumber: this.#key.phoneNumber,
      state: row.state,
      customerId: row.customerId,
      countryCode: row.countryCode,
      ...stamp,
      claimTime: latest(claimTime, previous?.claimTime),
      payload: this.#encode({ ...row, ...stamp }),
    };
    this.#log.add({ ...this.row, sequence: stamp.revision, previous });
  }
}

interface ChangedNumber {
  readonly number: StoredNumber;
  readonly after: ChangingNumber;
  readonly result: NumberResult;
}

/** Counts how many numbers the carrier holds. */
class Room {
  readonly #heldBefore: bigint | undefined;
  added = 0n;

  /** @param heldBefore undefined: there is always room. */
  constructor(heldBefore: bigint | undefined) {
    this.#heldBefore = heldBefore;
  }

  isLeft(most = 0): boolean {
    return this.#heldBefore === undefined || this.#heldBefore + this.added < BigInt(most);
  }

  watch(changed: ChangedNumber): ChangedNumber {
    const { number, after } = changed;
    this.added += BigInt(Number(isHeldRow(after.row)) - Number(isHeldRow(number.row)));
    return changed;
  }
}

function changeNumber(number: StoredNumber, batch: NumberBatch, log: EntryLog, room: Room): ChangedNumber {
  const after = new ChangingNumber(number, batch.encode, log);
  const now = timeOfChange(number.timeline, log.lock.ingestTime);
  after.settle(now);
  const current = { ...number, timeline: after.timeline, row: after.row };
  const decision = batch.decide(current, now, room.isLeft(batch.mostHeld));
  if ("problem" in decision) {
    after.renewClaim(decision.claimTime);
    return { number, after, result: { problem: decision.problem } };
  }
  after.apply(decision, now);
  // Its row was erased with a part of its past; what is left of the past says nothing of now.
  if (!after.row) return { number, after, result: notHeld() };
  return { number, after, result: { payload: after.row.payload } };
}

/** Whether a row says that the carrier holds the number. */
export function isHeldRow(row: StoredRow | undefined): boolean {
  return row?.state === NumberState.PROVISIONED || row?.state === NumberState.ASSIGNED;
}

function scheduledTime(port: StoredPort | undefined): Micros | undefined {
  return port?.stage === PortStage.SCHEDULED ? port.effectiveTime : undefined;
}

function latest(a: Micros | undefined, b: Micros | undefined): Micros {
  if (a === undefined || b === undefined) return a ?? b ?? 0n;
  return a > b ? a : b;
}

class EntryLog {
  readonly lock: FeedLock;
  readonly entries: EntryWrite[] = [];
  nextSequence: bigint;

  constructor(lock: FeedLock) {
    this.lock = lock;
    this.nextSequence = lock.nextSequence;
  }

  nextStamp() {
    return { revision: this.nextSequence, recordedTime: this.lock.ingestTime };
  }

  add(entry: EntryWrite): void {
    this.entries.push(entry);
    this.nextSequence++;
  }
}
