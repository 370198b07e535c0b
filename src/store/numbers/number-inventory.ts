import { type AssignmentRequest, assign, notHeld, release, unassign } from "../../domain/numbers/number-changes.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { NumberBatch } from "./number-batch.ts";
import { freeClaims, type NumberAnswer, type NumberCall, runOnce } from "./number-call.ts";
import type { NumberClaim } from "./number-owners.ts";
import { PortStage, type StoredPort } from "./number-port-rows.ts";
import { afterDuePorts, decidePort, settlePorts } from "./number-ports.ts";
import type { NumberWriter } from "./number-writer.ts";

/** Releases numbers: rows first, then claims. The sweeper frees claims that a crash left. */
export async function releaseNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  numbers: readonly string[],
): Promise<NumberAnswer> {
  const freed: NumberClaim[] = [];
  const answer = await afterDuePorts(writer, () => {
    freed.length = 0;
    const decide: NumberBatch["decide"] = ({ key, timeline, row, port }, now) => {
      const change = release(timeline, now);
      if ("problem" in change) return change;
      if (row) freed.push({ phoneNumber: key.phoneNumber, claimTime: row.claimTime });
      return port?.stage === PortStage.SCHEDULED ? { ...change, port: null } : change;
    };
    return runOnce(writer, carrierId, call, { numbers, decide });
  });
  await freeClaims(writer, carrierId, freed);
  return answer;
}

/** Assigns numbers of a carrier, or brings standing assignments to these values. */
export async function assignNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  items: ReadonlyMap<string, AssignmentRequest>,
): Promise<NumberAnswer> {
  return changeHeld(writer, carrierId, call, [...items.keys()], ({ key, timeline, port }, now) => {
    const request = items.get(key.phoneNumber);
    if (!request) throw new Error("a number that nobody named");
    return pastPort(port, request.effectiveTime) ?? assign(timeline, request, now);
  });
}

/** Ends the assignment of numbers at a time; absent: now. */
export async function unassignNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  numbers: readonly string[],
  effectiveTime: Micros | undefined,
): Promise<NumberAnswer> {
  return changeHeld(writer, carrierId, call, numbers, ({ timeline, port }, now) => {
    return pastPort(port, effectiveTime) ?? unassign(timeline, effectiveTime, now);
  });
}

/** Ports numbers at a time; if it has come, they usually have arrived when this returns. */
export async function portNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  numbers: readonly string[],
  request: { toCarrierId: string; effectiveTime: Micros; orderedBy: string },
): Promise<NumberAnswer> {
  const answer = await changeHeld(writer, carrierId, call, numbers, (number, now) => decidePort(number, request, now));
  await settlePorts(writer, numbers).catch(writer.onError);
  return answer;
}

// What takes effect with or after a scheduled port is for the carrier that then holds the number.
function pastPort(port: StoredPort | undefined, effectiveTime: Micros | undefined) {
  if (port?.stage !== PortStage.SCHEDULED || effectiveTime === undefined || effectiveTime < port.effectiveTime)
    return undefined;
  const problem = notHeld().problem;
  return {
    problem: { ...problem, field: "effective_time", message: "by then the number has been ported to another carrier" },
  };
}

async function changeHeld(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  numbers: readonly string[],
  decide: NumberBatch["decide"],
): Promise<NumberAnswer> {
  await settlePorts(writer, numbers);
  return afterDuePorts(writer, () => runOnce(writer, carrierId, call, { numbers, decide }));
}
