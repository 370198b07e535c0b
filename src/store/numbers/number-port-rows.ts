import { sql } from "kysely";
import type { NumberTimeline } from "../../domain/numbers/number-state.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { textArray, timestamptzArray } from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";
import { decodePeriods, encodePeriods } from "./number-timelines.ts";

/** How far a port is; the losing carrier's row says it. */
export const PortStage = { SCHEDULED: 1, LEFT: 2, DONE: 3 } as const;

const ROLE = { LOSES: 1, GAINS: 2 } as const;

/** A port that takes a number away from a carrier. */
export interface StoredPort {
  readonly portId: string;
  readonly phoneNumber: string;
  readonly carrierId: string;
  readonly toCarrierId: string;
  readonly effectiveTime: Micros;
  /**
   * The identity of the credential that ordered it; undefined for one from before the audit log.
   */
  readonly orderedBy: string | undefined;
  /** PortStage SCHEDULED or LEFT. */
  readonly stage: number;
  /** In stage LEFT: what the gaining carrier gets. */
  readonly moved?: NumberTimeline;
}

/** Reads the ports that are not done of numbers of one carrier; a number has at most one. */
export async function readUnfinishedPorts(
  tx: Tx,
  carrierId: string,
  numbers: readonly string[],
): Promise<Map<string, StoredPort>> {
  const { rows } = await run(tx)<PortRow>`
    SELECT p.* FROM unnest(${textArray(numbers)}::text[]) AS n
    JOIN number_port p ON p.carrier_id = ${carrierId} AND p.phone_number = n
    WHERE p.stage < ${PortStage.DONE} ORDER BY p.stage`;
  return new Map(rows.map((row) => [row.phoneNumber, portOfRow(row)]));
}

/**
 * Finds ports that are due, or on their way; of these numbers, or of this carrier, only. In a
 * system transaction.
 */
export async function findDuePorts(
  tx: Tx,
  only: { numbers: readonly string[] } | { carrierId: string },
  limit: number,
): Promise<StoredPort[]> {
  const condition =
    "numbers" in only
      ? sql`p.phone_number = ANY(${textArray(only.numbers)}::text[])`
      : sql`p.carrier_id = ${only.carrierId}`;
  const { rows } = await run(tx)<PortRow>`
    SELECT p.* FROM number_port p
    WHERE p.stage < ${PortStage.DONE} AND p.effective_time <= clock_timestamp() AND ${condition}
    ORDER BY p.effective_time LIMIT ${limit}`;
  return rows.map(portOfRow);
}

/** Reads the ports that are not done of one number, of any carrier. In a system transaction. */
export async function readPortsOfNumber(tx: Tx, phoneNumber: string): Promise<StoredPort[]> {
  const { rows } = await run(tx)<PortRow>`
    SELECT p.* FROM number_port p WHERE p.phone_number = ${phoneNumber} AND p.stage < ${PortStage.DONE} ORDER BY p.effective_time`;
  return rows.map(portOfRow);
}

/**
 * Writes what became of the ports that take numbers away from a carrier: scheduled, replaced,
 * dropped, or on their way.
 */
export async function writePorts(
  tx: Tx,
  carrierId: string,
  writes: readonly { before: StoredPort | undefined; after: StoredPort | undefined }[],
): Promise<void> {
  const dropped = writes.flatMap(({ before, after }) => (before && before.portId !== after?.portId ? [before] : []));
  if (dropped.length > 0) {
    await run(tx)`
      DELETE FROM number_port p USING unnest(${textArray(dropped.map((port) => port.phoneNumber))}::text[],
        ${textArray(dropped.map((port) => port.portId))}::text[]) AS d(n, id)
      WHERE p.carrier_id = ${carrierId} AND p.phone_number = d.n AND p.port_id = d.id::uuid`;
  }
  const ports = writes.flatMap(({ after }) => (after ? [after] : []));
  for (const stage of [PortStage.SCHEDULED, PortStage.LEFT]) {
    await upsertPorts(
      tx,
      carrierId,
      ports.filter((port) => port.stage === stage),
      stage,
    );
  }
}

/** Which of these ports have arrived at the gaining carrier. */
export async function findArrivals(tx: Tx, toCarrierId: string, ports: readonly StoredPort[]): Promise<Set<string>> {
  const { rows } = await run(tx)<{ portId: string }>`
    SELECT p.port_id::text AS port_id
    FROM unnest(${textArray(ports.map((port) => port.phoneNumber))}::text[], ${textArray(ports.map((port) => port.portId))}::text[]) AS w(n, id)
    JOIN number_port p ON p.carrier_id = ${toCarrierId} AND p.phone_number = w.n AND p.port_id = w.id::uuid AND p.role = ${ROLE.GAINS}`;
  return new Set(rows.map((row) => row.portId));
}

/** Which of these numbers the last port that this carrier had a part in gave it. */
export async function findPortedIn(tx: Tx, carrierId: string, numbers: readonly string[]): Promise<string[]> {
  const { rows } = await run(tx)<{ phoneNumber: string; role: number }>`
    SELECT DISTINCT ON (phone_number) phone_number, role FROM number_port
    WHERE carrier_id = ${carrierId} AND phone_number = ANY(${textArray(numbers)}::text[])
    ORDER BY phone_number, effective_time DESC, stage DESC`;
  return rows.flatMap((row) => (row.role === ROLE.GAINS ? [row.phoneNumber] : []));
}

/** Notes at the gaining carrier that ports have arrived, in the transaction of their arrival. */
export async function insertArrivals(tx: Tx, ports: readonly StoredPort[]): Promise<void> {
  if (ports.length === 0) return;
  const insert = tx.insertInto("number_port").values(
    ports.map((port) => ({
      carrier_id: port.toCarrierId,
      phone_number: port.phoneNumber,
      port_id: port.portId,
      role: ROLE.GAINS,
      other_carrier_id: port.carrierId,
      effective_time: isoFromMicros(port.effectiveTime),
      stage: PortStage.DONE,
      moved: null,
      ordered_by: null,
    })),
  );
  await run(tx, insert);
}

/** Notes at the losing carrier that ports are done. */
export async function finishPorts(tx: Tx, carrierId: string, ports: readonly StoredPort[]): Promise<void> {
  await run(tx)`
    UPDATE number_port p SET stage = ${PortStage.DONE}, moved = NULL
    FROM unnest(${textArray(ports.map((port) => port.phoneNumber))}::text[], ${textArray(ports.map((port) => port.portId))}::text[]) AS w(n, id)
    WHERE p.carrier_id = ${carrierId} AND p.phone_number = w.n AND p.port_id = w.id::uuid AND p.role = ${ROLE.LOSES}`;
}

interface PortRow {
  carrierId: string;
  phoneNumber: string;
  portId: string;
  otherCarrierId: string;
  effectiveTime: Micros;
  orderedBy: string | undefined;
  stage: number;
  moved: unknown;
}

async function upsertPorts(tx: Tx, carrierId: string, ports: readonly StoredPort[], stage: number): Promise<void> {
  if (ports.length === 0) return;
  const query = sql`
    INSERT INTO number_port (carrier_id, phone_number, port_id, role, other_carrier_id, effective_time, stage, moved, ordered_by)
    SELECT c.carrier_id, w.n, w.id::uuid, ${ROLE.LOSES}::int2, w.other, w.effective_time, ${stage}::int2, w.moved::jsonb, w.ordered_by
    FROM carrier c CROSS JOIN unnest(${textArray(ports.map((port) => port.phoneNumber))}::text[],
                ${textArray(ports.map((port) => port.portId))}::text[], ${textArray(ports.map((port) => port.toCarrierId))}::text[],
                ${timestamptzArray(ports.map((port) => port.effectiveTime))}::timestamptz[],
                ${textArray(ports.map((port) => (port.moved ? encodePeriods(port.moved) : undefined)))}::text[],
                ${textArray(ports.map((port) => port.orderedBy))}::text[])
      AS w(n, id, other, effective_time, moved, ordered_by)
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, phone_number, port_id) DO UPDATE
    SET other_carrier_id = EXCLUDED.other_carrier_id, effective_time = EXCLUDED.effective_time, stage = EXCLUDED.stage, moved = EXCLUDED.moved`;
  await insertAll(tx, query, ports.length);
}

function portOfRow(row: PortRow): StoredPort {
  return {
    portId: row.portId,
    phoneNumber: row.phoneNumber,
    carrierId: row.carrierId,
    toCarrierId: row.otherCarrierId,
    effectiveTime: row.effectiveTime,
    orderedBy: row.orderedBy,
    stage: row.stage,
    ...(row.moved === undefined ? {} : { moved: decodePeriods(row.moved) }),
  };
}
