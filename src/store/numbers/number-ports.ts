import { randomUUID } from "node:crypto";
import { FeedId } from "../../domain/feed-id.ts";
import { arrive, findPortProblem, type NumberProblem, periodsMoved } from "../../domain/numbers/number-changes.ts";
import { endTimeline } from "../../domain/numbers/number-state.ts";
import { sipUriOfNumber } from "../../domain/numbers/sip-uri.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { appendAuditEvent } from "../audit/audit-log.ts";
import { readCarrier } from "../carriers/carriers.ts";
import { outlivingCall } from "../database/callers.ts";
import { carrierTransaction, systemTransaction } from "../database/database.ts";
import type { Tx } from "../database/run.ts";
import { lockFeed } from "../feeds/feed-head.ts";
import { changeNumbers, type NumberDecision, PortDue, type StoredNumber } from "./number-batch.ts";
import { endTransit, moveClaims, readClaims, type StandingClaim } from "./number-owners.ts";
import {
  findArrivals,
  findDuePorts,
  finishPorts,
  insertArrivals,
  PortStage,
  readUnfinishedPorts,
  type StoredPort,
} from "./number-port-rows.ts";
import { type NumberWriter, writeInCarrier } from "./number-writer.ts";

// A transaction touches one carrier and a port two, so a port goes in repeatable steps: the losing
// row says PORTED_OUT and keeps what moves (LEFT); the claim moves, in transit, so that nobody can
// provision the number; the gaining rows arrive and are marked; the transit ends and the port is
// DONE. After a crash, whoever finds it goes on.

/** Carries out the due ports of these numbers. */
export async function settlePorts(writer: NumberWriter, numbers: readonly string[]): Promise<void> {
  const due = await systemTransaction(writer.db, (tx) => findDuePorts(tx, { numbers }, 1_000));
  await carryOutPorts(writer, due);
}

/** Runs a change of numbers, and again after the due ports that it found. */
export async function afterDuePorts<T>(writer: NumberWriter, run: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof PortDue) || attempt >= MAX_ATTEMPTS) throw error;
      await carryOutPorts(writer, error.ports);
    }
  }
}

/** What a port makes of a number at the losing carrier: scheduled, or under way if it is due. */
export function decidePort(
  { key, timeline, port }: StoredNumber,
  request: { toCarrierId: string; effectiveTime: Micros; orderedBy: string },
  now: Micros,
): NumberDecision | { problem: NumberProblem } {
  const { toCarrierId, effectiveTime, orderedBy } = request;
  const problem = findPortProblem(timeline, effectiveTime, now);
  if (problem) return { problem };
  if (port?.toCarrierId === toCarrierId && port.effectiveTime === effectiveTime) return {};
  const scheduled: StoredPort = {
    portId: randomUUID(),
    ...key,
    toCarrierId,
    effectiveTime,
    orderedBy,
    stage: PortStage.SCHEDULED,
  };
  return effectiveTime > now ? { port: scheduled } : leave(timeline, scheduled);
}

/** Carries out ports from whatever step they are at. */
export async function carryOutPorts(
  writer: NumberWriter,
  ports: readonly StoredPort[],
  fence?: (tx: Tx) => Promise<void>,
): Promise<void> {
  const groups = Map.groupBy(ports, (port) => `${port.carrierId}/${port.toCarrierId}`);
  for (const group of groups.values()) await outlivingCall(() => carryOutGroup(writer, group, fence));
}

const MAX_ATTEMPTS = 5;

async function carryOutGroup(
  writer: NumberWriter,
  ports: readonly StoredPort[],
  fence?: (tx: Tx) => Promise<void>,
): Promise<void> {
  const [{ carrierId, toCarrierId } = { carrierId: "", toCarrierId: "" }] = ports;
  const leaving = await loseNumbers(writer, carrierId, ports, fence);
  if (leaving.length === 0) return;
  const claims = await takeClaims(writer, carrierId, toCarrierId, leaving);
  const arrived = await gainNumbers(writer, toCarrierId, leaving, claims);
  const moved = [...claims].map(([phoneNumber, claimTime]) => ({ phoneNumber, claimTime }));
  await systemTransaction(writer.db, (tx) => endTransit(tx, toCarrierId, moved));
  const done = leaving.filter((port) => arrived.has(port.portId));
  await writeInCarrier(writer, carrierId, fence, (tx) => finishPorts(tx, carrierId, done));
}

// Returns the claims in transit of ports under way. Claims that another process is moving are tried
// again.
async function takeClaims(
  writer: NumberWriter,
  carrierId: string,
  toCarrierId: string,
  leaving: readonly StoredPort[],
): Promise<ReadonlyMap<string, Micros>> {
  const taken = new Map<string, Micros>();
  let open = leaving;
  for (let attempt = 0; attempt < MAX_ATTEMPTS && open.length > 0; attempt++) {
    open = await tryClaims(writer, carrierId, toCarrierId, open, taken);
  }
  return taken;
}

// The claims are read, then the ports checked, and only then unchanged claims are moved: a process
// held up until the port was done, and its number perhaps back, moves nothing. Returns the ports to
// try again.
async function tryClaims(
  writer: NumberWriter,
  carrierId: string,
  toCarrierId: string,
  leaving: readonly StoredPort[],
  taken: Map<string, Micros>,
): Promise<StoredPort[]> {
  const numbers = leaving.map((port) => port.phoneNumber);
  const standing = await systemTransaction(writer.db, (tx) => readClaims(tx, numbers));
  const ports = await carrierTransaction(writer.db, carrierId, (tx) => readUnfinishedPorts(tx, carrierId, numbers));
  const still = leaving.filter(({ phoneNumber, portId }) => ports.get(phoneNumber)?.portId === portId);
  const toMove: StandingClaim[] = [];
  const unclaimed: string[] = [];
  for (const { phoneNumber } of still) {
    const claim = standing.get(phoneNumber);
    if (!claim) unclaimed.push(phoneNumber);
    else if (claim.carrierId === carrierId) toMove.push(claim);
    else if (claim.carrierId === toCarrierId && claim.inTransit) taken.set(phoneNumber, claim.claimTime);
  }
  const moved = await systemTransaction(writer.db, (tx) => moveClaims(tx, toCarrierId, toMove, unclaimed));
  for (const [phoneNumber, claimTime] of moved) taken.set(phoneNumber, claimTime);
  const tried = new Set([...toMove.map((claim) => claim.phoneNumber), ...unclaimed]);
  return still.filter(({ phoneNumber }) => tried.has(phoneNumber) && !taken.has(phoneNumber));
}

// Returns the ports then under way: some may have been replaced or carried out by others.
async function loseNumbers(
  writer: NumberWriter,
  carrierId: string,
  ports: readonly StoredPort[],
  fence?: (tx: Tx) => Promise<void>,
): Promise<StoredPort[]> {
  const found = new Map(ports.map((port) => [port.phoneNumber, port]));
  const { outcome, leaving } = await writeInCarrier(writer, carrierId, fence, async (tx) => {
    const lock = await lockFeed(tx, carrierId, FeedId.NUMBERS);
    const decide = ({ key, timeline, port }: StoredNumber): NumberDecision => {
      const isDue = port?.stage === PortStage.SCHEDULED && port.portId === found.get(key.phoneNumber)?.portId;
      return isDue ? leave(timeline, port) : {};
    };
    const outcome = await changeNumbers(tx, lock, {
      carrierId,
      numbers: [...found.keys()],
      decide,
      encode: writer.encode,
      portsMayBeDue: true,
    });
    const unfinished = await readUnfinishedPorts(tx, carrierId, [...found.keys()]);
    return { outcome, leaving: [...unfinished.values()].filter((port) => port.stage === PortStage.LEFT) };
  });
  writer.changed(carrierId, outcome);
  const toCarrierId = ports[0]?.toCarrierId;
  return leaving.filter((port) => port.toCarrierId === toCarrierId);
}

// Gives the ids of the ports that have arrived, now or before.
async function gainNumbers(
  writer: NumberWriter,
  toCarrierId: string,
  ports: readonly StoredPort[],
  claims: ReadonlyMap<string, Micros>,
): Promise<ReadonlySet<string>> {
  const { outcome, arrived } = await writeInCarrier(writer, toCarrierId, undefined, async (tx) => {
    const lock = await lockFeed(tx, toCarrierId, FeedId.NUMBERS);
    const arrived = await findArrivals(tx, toCarrierId, ports);
    const arriving = new Map<string, StoredPort>();
    for (const port of ports) {
      if (!arrived.has(port.portId) && claims.has(port.phoneNumber)) arriving.set(port.phoneNumber, port);
    }
    const sipDomain = (await readCarrier(tx, toCarrierId))?.sipDomain ?? writer.sipDomain;
    const decide = ({ key: { phoneNumber }, timeline }: StoredNumber): NumberDecision => {
      const moved = arriving.get(phoneNumber)?.moved ?? [];
      const makeSipUri = () => sipUriOfNumber(phoneNumber, sipDomain);
      return { timeline: arrive(timeline, moved, makeSipUri), claimTime: claims.get(phoneNumber) };
    };
    const outcome = await changeNumbers(tx, lock, {
      carrierId: toCarrierId,
      numbers: [...arriving.keys()],
      decide,
      encode: writer.encode,
    });
    await insertArrivals(tx, toCarrierId, [...arriving.values()]);
    for (const port of arriving.values()) arrived.add(port.portId);
    await auditArrivals(tx, toCarrierId, [...arriving.values()]);
    return { outcome, arrived };
  });
  writer.changed(toCarrierId, outcome);
  return arrived;
}

// The order is in the losing carrier's chain; this one says how the numbers came.
async function auditArrivals(tx: Tx, toCarrierId: string, ports: readonly StoredPort[]): Promise<void> {
  for (const [actor = "", group] of Map.groupBy(ports, (port) => port.orderedBy)) {
    await appendAuditEvent(tx, {
      carrierId: toCarrierId,
      actor,
      method: "tandem.platform.v1.NumberService/PortNumbers",
      resource: `numbers/${group.length}`,
      details: { from_carrier_id: group[0]?.carrierId, changed: group.length },
    });
  }
}

function leave(timeline: StoredNumber["timeline"], port: StoredPort): NumberDecision {
  const { effectiveTime } = port;
  return {
    timeline: endTimeline(timeline, effectiveTime, NumberState.PORTED_OUT),
    port: { ...port, stage: PortStage.LEFT, moved: periodsMoved(timeline, effectiveTime) },
  };
}
