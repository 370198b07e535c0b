import { arrive, periodsMoved } from "../../domain/numbers/number-changes.ts";
import { type NumberPeriod, type NumberTimeline, timelineUnderPort } from "../../domain/numbers/number-state.ts";
import { sipUriOfNumber } from "../../domain/numbers/sip-uri.ts";
import { textArray } from "../database/binary-array.ts";
import { readRow, readRows, type Tx } from "../database/run.ts";
import { PortStage, readPortsOfNumber, type StoredPort } from "./number-port-rows.ts";
import { type HoldingRow, periodOfRow } from "./number-timelines.ts";

/** A period of a number at one carrier. */
export interface HistoryPeriod {
  readonly carrierId: string;
  readonly period: NumberPeriod;
}

/** Most periods that are read of one number. */
const MAX_PERIODS = 10_000;

/**
 * Reads who held a number over time, ascending, with corrections and scheduled changes. In a system
 * transaction.
 * @param sipDomain of carriers that have no domain of their own.
 */
export async function readNumberHistory(tx: Tx, phoneNumber: string, sipDomain: string): Promise<HistoryPeriod[]> {
  const rows = await readRows(tx)<HoldingRow>`
    SELECT h.* FROM number_holding h WHERE h.phone_number = ${phoneNumber} ORDER BY h.start_time DESC LIMIT ${MAX_PERIODS}`;
  const timelines = new Map<string, NumberTimeline>();
  for (const [carrierId, held] of Map.groupBy(rows.toReversed(), (row) => row.carrierId))
    timelines.set(carrierId, held.map(periodOfRow));
  const ports = await readPortsOfNumber(tx, phoneNumber);
  const domains = await readSipDomains(
    tx,
    ports.map((port) => port.toCarrierId),
  );
  for (const port of ports) {
    const { loser, gained } = splitByPort(timelines, port, domains.get(port.toCarrierId) ?? sipDomain);
    timelines.set(port.carrierId, loser);
    timelines.set(port.toCarrierId, gained);
  }
  const periods = [...timelines].flatMap(([carrierId, timeline]) => timeline.map((period) => ({ carrierId, period })));
  return periods
    .filter(({ period }) => period.start < period.end)
    .sort((a, b) => (a.period.start < b.period.start ? -1 : 1));
}

// Between two steps of a port the number may be at neither carrier, or at both.
function splitByPort(timelines: ReadonlyMap<string, NumberTimeline>, port: StoredPort, sipDomain: string) {
  const losing = timelines.get(port.carrierId) ?? [];
  const gaining = timelines.get(port.toCarrierId) ?? [];
  const isScheduled = port.stage === PortStage.SCHEDULED;
  const moved = isScheduled ? periodsMoved(losing, port.effectiveTime) : (port.moved ?? []);
  const hasArrived = gaining.some((period) => period.holdingStart === port.effectiveTime);
  return {
    loser: isScheduled ? timelineUnderPort(losing, port.effectiveTime) : losing,
    gained: hasArrived ? gaining : arrive(gaining, moved, () => sipUriOfNumber(port.phoneNumber, sipDomain)),
  };
}

async function readSipDomains(tx: Tx, carrierIds: readonly string[]): Promise<Map<string, string>> {
  if (carrierIds.length === 0) return new Map();
  const rows = await readRows(tx)<{ carrierId: string; sipDomain: string | undefined }>`
    SELECT carrier_id, sip_domain FROM carrier WHERE carrier_id = ANY(${textArray(carrierIds)}::text[])`;
  return new Map(rows.flatMap((row) => (row.sipDomain === undefined ? [] : [[row.carrierId, row.sipDomain] as const])));
}

/** Reads a number's row at the carrier that holds it. In a system transaction. */
export function readHolderRow(
  tx: Tx,
  phoneNumber: string,
): Promise<{ carrierId: string; payload: Buffer } | undefined> {
  return readRow(tx)<{ carrierId: string; payload: Buffer }>`
    SELECT carrier_id, payload FROM phone_number WHERE phone_number = ${phoneNumber} AND state IN (1, 2) LIMIT 1`;
}
