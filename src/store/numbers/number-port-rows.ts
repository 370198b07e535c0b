import { sql } from "kysely";
import type { NumberTimeline } from "../../domain/numbers/number-state.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { insertAll, readRows, run, type Tx, unnest } from "../database/run.ts";
import { decodePeriods, encodePeriods } from "./number-timelines.ts";

/** How far a port is; the losing carrier's row says it. */
export const PortStage = { SCHEDULED: 1, LEFT: 2, DONE: 3 } as const;

const ROLE = { LOSES: 1, GAINS: 2 } as const;

export interface StoredPort {
  readonly portId: string;
  readonly phoneNumber: string;
  readonly carrierId: string;
  readonly toCarrierId: string;
  readonly effectiveTime: Micros;
  /** The credential's identity; undefined: from before the audit log. */
  readonly orderedBy: string | undefined;
  /** PortStage SCHEDULED or LEFT. */
  readonly stage: number;
  /** In stage LEFT: what the gaining carrier gets. */
  readonly moved?: NumberTimeline;
}

/** At most one for each number. */
export async function readUnfinishedPorts(
  tx: Tx,
  carrierId: string,
  numbers: readonly string[],
): Promise<Map<string, StoredPort>> {
  const rows = await readRows(tx)<PortRow>`
    SELECT ${PORT} FROM unnest(${textArray(numbers)}::text[]) AS n
    JOIN number_port p ON p.carrier_id = ${carrierId} AND p.phone_number = n
    WHERE p.stage < ${PortStage.DONE} ORDER BY p.stage`;
  return new Map(rows.map((row) => [row.phoneNumber, portOfRow(row)]));
}

/** Finds ports due or under way, of these numbers or this carrier. In a system transaction. */
export function findDuePorts(
  tx: Tx,
  only: { numbers: readonly string[] } | { carrierId: string },
  limit: number,
): Promise<StoredPort[]> {
  const condition =
    "numbers" in only
      ? sql`p.phone_number = ANY(${textArray(only.numbers)}::text[])`
      : sql`p.carrier_id = ${only.carrierId}`;
  return readRows(tx, portOfRow)`
    SELECT ${PORT} FROM number_port p
    WHERE p.stage < ${PortStage.DONE} AND p.effective_time <= clock_timestamp() AND ${condition}
    ORDER BY p.effective_time LIMIT ${limit}`;
}

/** Of any carrier. In a system transaction. */
export function readPortsOfNumber(tx: Tx, phoneNumber: string): Promise<StoredPort[]> {
  return readRows(tx, portOfRow)`
    SELECT ${PORT} FROM number_port p WHERE p.phone_number = ${phoneNumber} AND p.stage < ${PortStage.DONE} ORDER BY p.effective_time`;
}

/** Writes what became of ports at the losing carrier. */
export async function writePorts(
  tx: Tx,
  carrierId: string,
  writes: readonly { before: StoredPort | undefined; after: StoredPort | undefined }[],
): Promise<void> {
  const dropped = writes.flatMap(({ before, after }) => (before && before.portId !== after?.portId ? [before] : []));
  if (dropped.length > 0) {
    await run(tx)`
      DELETE FROM number_port p USING ${named(dropped)}
      WHERE p.carrier_id = ${carrierId} AND p.phone_number = w.phone_number AND p.port_id = w.port_id::uuid`;
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
  const rows = await readRows(tx)<{ portId: string }>`
    SELECT p.port_id::text AS port_id
    FROM ${named(ports)}
    JOIN number_port p ON p.carrier_id = ${toCarrierId} AND p.phone_number = w.phone_number AND p.port_id = w.port_id::uuid
      AND p.role = ${ROLE.GAINS}`;
  return new Set(rows.map((row) => row.portId));
}

/** Which of these numbers this carrier's last port of them brought in. */
export async function findPortedIn(tx: Tx, carrierId: string, numbers: readonly string[]): Promise<string[]> {
  const rows = await readRows(tx)<{ phoneNumber: string; role: number }>`
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
    FROM ${named(ports)}
    WHERE p.carrier_id = ${carrierId} AND p.phone_number = w.phone_number AND p.port_id = w.port_id::uuid AND p.role = ${ROLE.LOSES}`;
}

function named(ports: readonly StoredPort[]) {
  return unnest("w", ports, { phoneNumber: "text", portId: "text" });
}

async function upsertPorts(tx: Tx, carrierId: string, ports: readonly StoredPort[], stage: number): Promise<void> {
  if (ports.length === 0) return;
  const rows = ports.map((port) => ({ ...port, moved: port.moved && encodePeriods(port.moved) }));
  const names = { phoneNumber: "text", portId: "text", toCarrierId: "text" } as const;
  const query = sql`
    INSERT INTO number_port (carrier_id, phone_number, port_id, role, other_carrier_id, effective_time, stage, moved, ordered_by)
    SELECT c.carrier_id, w.phone_number, w.port_id::uuid, ${ROLE.LOSES}::int2, w.to_carrier_id, w.effective_time, ${stage}::int2,
      w.moved::jsonb, w.ordered_by
    FROM carrier c CROSS JOIN ${unnest("w", rows, { ...names, effectiveTime: "timestamptz", moved: "text", orderedBy: "text" })}
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, phone_number, port_id) DO UPDATE
    SET other_carrier_id = EXCLUDED.other_carrier_id, effective_time = EXCLUDED.effective_time, stage = EXCLUDED.stage, moved = EXCLUDED.moved`;
  await insertAll(tx, query, ports.length);
}

type PortRow = Omit<StoredPort, "moved"> & { moved: unknown };
const PORT = sql`p.port_id, p.phone_number, p.carrier_id, p.other_carrier_id AS to_carrier_id, p.effective_time, p.ordered_by, p.stage, p.moved`;

function portOfRow({ moved, ...port }: PortRow): StoredPort {
  return moved === undefined ? port : { ...port, moved: decodePeriods(moved) };
}
