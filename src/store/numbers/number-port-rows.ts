import { sql } from "kysely";
import { type NumberTimeline, spanOfChange } from "../../domain/numbers/number-state.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { readRows, run, type Tx, unnest } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
import { insertMarks } from "../usage/usage-marks.ts";
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
  const rows = writes.flatMap(({ after }) => (after ? [portRow(after, ROLE.LOSES)] : []));
  const key = ["phone_number", "port_id"];
  await writeRows(tx, { table: "number_port", carrierId, key, columns: COLUMNS, stored: STORED }, rows);
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
export function insertArrivals(tx: Tx, toCarrierId: string, ports: readonly StoredPort[]): Promise<void> {
  const rows = ports.map(({ moved: _, ...port }) =>
    portRow({ ...port, toCarrierId: port.carrierId, stage: PortStage.DONE, orderedBy: undefined }, ROLE.GAINS),
  );
  return writeRows(tx, { table: "number_port", carrierId: toCarrierId, columns: COLUMNS, stored: STORED }, rows);
}

/** Notes at the losing carrier that ports are done, and marks for usage what was on its way. */
export async function finishPorts(tx: Tx, carrierId: string, ports: readonly StoredPort[]): Promise<void> {
  const marks = ports.flatMap(({ phoneNumber, moved = [] }) => {
    const span = spanOfChange(moved, []);
    return span ? [{ phoneNumber, startTime: span.start, endTime: span.end }] : [];
  });
  await insertMarks(tx, carrierId, marks);
  await run(tx)`
    UPDATE number_port p SET stage = ${PortStage.DONE}, moved = NULL
    FROM ${named(ports)}
    WHERE p.carrier_id = ${carrierId} AND p.phone_number = w.phone_number AND p.port_id = w.port_id::uuid AND p.role = ${ROLE.LOSES}`;
}

function named(ports: readonly StoredPort[]) {
  return unnest("w", ports, { phoneNumber: "text", portId: "text" });
}

const COLUMNS = {
  ...({
    phoneNumber: "text",
    portId: "text",
    role: "int2",
    otherCarrierId: "text",
    effectiveTime: "timestamptz",
  } as const),
  ...({ stage: "int2", moved: "text", orderedBy: "text" } as const),
};
const STORED = { port_id: sql`r.port_id::uuid`, moved: sql`r.moved::jsonb` };

function portRow({ toCarrierId: otherCarrierId, moved, ...port }: StoredPort, role: number) {
  return { ...port, otherCarrierId, role, moved: moved && encodePeriods(moved) };
}

type PortRow = Omit<StoredPort, "moved"> & { moved: unknown };
const PORT = sql`p.port_id, p.phone_number, p.carrier_id, p.other_carrier_id AS to_carrier_id, p.effective_time, p.ordered_by, p.stage, p.moved`;

function portOfRow({ moved, ...port }: PortRow): StoredPort {
  return moved === undefined ? port : { ...port, moved: decodePeriods(moved) };
}
