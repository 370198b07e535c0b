import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { isOfRegion } from "../carriers/carriers.ts";
import { readColumn, readRow, type Tx } from "../database/run.ts";
import { lockFeed } from "../feeds/feed-head.ts";
import { changeNumbers } from "./number-batch.ts";
import { findDuePorts, PortStage } from "./number-port-rows.ts";
import { carryOutPorts } from "./number-ports.ts";
import { type NumberWriter, writeInCarrier } from "./number-writer.ts";

/** Most due numbers of one carrier that are worked on in one go. */
const BATCH = 1_000;

/** Which carriers of a region have something due, and when more comes. In a system transaction. */
export async function readSchedule(
  tx: Tx,
  region?: string,
): Promise<{ dueCarrierIds: string[]; now: Micros; nextTime: Micros | undefined }> {
  const row = await readRow(tx)<{ due: string[] | undefined; now: Micros; nextTime: Micros | undefined }>`
    SELECT clock_timestamp() AS now,
      (SELECT array_agg(DISTINCT carrier_id) FROM (
        (SELECT carrier_id FROM number_port WHERE stage < ${PortStage.DONE} AND effective_time <= clock_timestamp()
           AND ${isOfRegion(sql`number_port.carrier_id`, region)} ORDER BY effective_time LIMIT ${BATCH})
        UNION ALL
        (SELECT carrier_id FROM number_holding WHERE revision = 0 AND start_time <= clock_timestamp()
           AND ${isOfRegion(sql`number_holding.carrier_id`, region)} ORDER BY start_time LIMIT ${BATCH})
      ) AS due) AS due,
      LEAST((SELECT min(effective_time) FROM number_port WHERE stage < ${PortStage.DONE} AND effective_time > clock_timestamp()),
            (SELECT min(start_time) FROM number_holding WHERE revision = 0 AND start_time > clock_timestamp())) AS next_time`;
  return { dueCarrierIds: row?.due ?? [], now: row?.now ?? 0n, nextTime: row?.nextTime };
}

/**
 * Applies what is due at one carrier: ports first, for they take later assignments along.
 * @param fence confirms the job's lease at the start of each transaction.
 * @returns how many numbers; fewer than a thousand: done.
 */
export async function takeEffect(
  writer: NumberWriter,
  carrierId: string,
  fence: (tx: Tx) => Promise<void>,
): Promise<number> {
  const { ports, numbers } = await writeInCarrier(writer, carrierId, fence, async (tx) => ({
    ports: await findDuePorts(tx, { carrierId }, BATCH),
    numbers: await findDueNumbers(tx, carrierId),
  }));
  await carryOutPorts(writer, ports, fence);
  const ported = new Set(ports.map((port) => port.phoneNumber));
  const scheduled = numbers.filter((phoneNumber) => !ported.has(phoneNumber));
  if (scheduled.length > 0) {
    const outcome = await writeInCarrier(writer, carrierId, fence, async (tx) => {
      const lock = await lockFeed(tx, carrierId, FeedId.NUMBERS);
      const decide = () => ({});
      return changeNumbers(tx, lock, {
        carrierId,
        numbers: scheduled,
        decide,
        encode: writer.encode,
        portsMayBeDue: true,
      });
    });
    writer.changed(carrierId, outcome);
  }
  return ports.length + scheduled.length;
}

function findDueNumbers(tx: Tx, carrierId: string): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT DISTINCT phone_number FROM (
      SELECT phone_number FROM number_holding
      WHERE revision = 0 AND start_time <= clock_timestamp() AND carrier_id = ${carrierId} ORDER BY start_time LIMIT ${BATCH}) AS due`;
}
