import type { Random } from "../random.ts";
import type { Calendar } from "./calendar.ts";
import type { CallPlanner, PlannedCall, Signalling } from "./planned-call.ts";

/**
 * Of 3,600 real calls of the Copenhagen Networks Study 13.5 % follow another of the pair within 60
 * s.
 */
const REPEATED_SHARE = 0.14;
/** Over 200 records of one pair together, which a matcher need not solve. */
const STORM_CALLS = 240;

export type RepeatedFault = "repeated" | "droppedAtCarrier" | "carrierOnly" | "unansweredUnreported" | "lengthMismatch";

/**
 * Two to four calls of one pair within a minute: redials, and callers who were cut off. Half of
 * those with ids share one Session-ID, which does not tell them apart.
 */
export function planRepeatedCalls(
  callCount: number,
  { calendar, planner, random }: { calendar: Calendar; planner: CallPlanner; random: Random },
): PlannedCall<RepeatedFault>[] {
  const calls: PlannedCall<RepeatedFault>[] = [];
  // What is dropped has to be missed by now.
  const untilMs = calendar.endMs - 30 * 3_600_000;
  while (calls.length < callCount * REPEATED_SHARE) {
    const first = planner.plan<RepeatedFault>("repeated", { place: { condition: "any", untilMs } });
    const signalling = signallingOfRow(first.signalling, random);
    let inviteMs = first.inviteMs;
    for (let left = random.weighted({ 2: 60, 3: 28, 4: 12 }) === "2" ? 2 : random.int(3, 4); left > 0; left -= 1) {
      const condition = calendar.conditionAt(first.trunkId, inviteMs);
      const fault = condition?.offsetMs === 0 && condition.roundingS === undefined ? faultInRow(random) : "repeated";
      if (condition) {
        const connectedMs = random.int(1_500, 14_000);
        const answered = fault !== "unansweredUnreported";
        calls.push({ ...first, fault, condition, inviteMs, answered, connectedMs, signalling });
      }
      inviteMs += random.int(9_000, 45_000);
    }
  }
  return calls;
}

/**
 * A dialler ran wild: unanswered calls of one pair several times a second, so many that pairing
 * would be guessing. They are alike in every figure.
 */
export function planStorms(
  callCount: number,
  { trunkId, planner, random }: { trunkId: string; planner: CallPlanner; random: Random },
): PlannedCall<"storm">[] {
  const calls: PlannedCall<"storm">[] = [];
  while (calls.length < callCount) {
    const first = { ...planner.plan("storm", { place: { condition: "plain" } }), trunkId };
    const session = sharedSession(random);
    const signalling = first.signalling.ids === "own" ? session : first.signalling;
    for (let index = 0; index < STORM_CALLS; index += 1) {
      const inviteMs = first.inviteMs + index * 400 + random.int(0, 200);
      calls.push({ ...first, inviteMs, answered: false, connectedMs: 0, signalling });
    }
  }
  return calls;
}

function signallingOfRow(first: Signalling, random: Random): Signalling {
  const [isShared, session] = [random.chance(0.5), sharedSession(random)];
  return first.ids === "own" && isShared ? session : first;
}

function sharedSession(random: Random): Signalling {
  return { ids: "shared", sessionId: `${random.hex(32)};${random.hex(32)}` };
}

function faultInRow(random: Random): RepeatedFault {
  return random.weighted({
    repeated: 86,
    unansweredUnreported: 8,
    droppedAtCarrier: 2,
    carrierOnly: 2,
    lengthMismatch: 2,
  });
}
