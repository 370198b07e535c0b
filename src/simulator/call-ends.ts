import { FailureStage } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { ReleaseParty } from "../gen/tandem/type/v1/call_pb.js";
import type { Random } from "./random.ts";

/** How an attempt went on the wire, by RFC 3261 section 21, ITU-T Q.850 and RFC 3398. */
export interface CallEnd {
  readonly rings: boolean;
  readonly answered: boolean;
  readonly finalSipCode: number;
  readonly q850Cause: number;
  readonly reasonPhrase: string;
  readonly releaseParty: ReleaseParty;
  readonly failureStage: FailureStage;
}

const WEIGHTS = {
  answered: 68,
  dropped: 1,
  cancelled: 8,
  noAnswer: 9,
  busy: 7,
  rejected: 2,
  unallocated: 2,
  incomplete: 1,
  noCircuit: 1,
  unreachable: 1,
} as const;

export function simulateEnd(random: Random): CallEnd {
  return endOf(random.weighted(WEIGHTS), random);
}

/** An attempt that was answered and ended normally. */
export function normalEnd(random: Random): CallEnd {
  return endOf("answered", random);
}

/** An attempt that rang and was not answered. */
export function unansweredEnd(kind: "cancelled" | "noAnswer", random: Random): CallEnd {
  return endOf(kind, random);
}

const { CALLED, CALLING, CARRIER, PLATFORM } = ReleaseParty;
const { CONNECTED, RINGING, SETUP, UNSPECIFIED } = FailureStage;

export const ENDS: Readonly<Record<keyof typeof WEIGHTS, CallEnd>> = {
  answered: end(200, 16, "Normal call clearing", CALLED, UNSPECIFIED),
  dropped: end(200, 41, "Temporary failure", CARRIER, CONNECTED),
  cancelled: end(487, 16, "Request terminated", CALLING, RINGING),
  noAnswer: end(480, 19, "No answer from user", CARRIER, RINGING),
  busy: end(486, 17, "User busy", CALLED, SETUP),
  rejected: end(603, 21, "Call rejected", CALLED, RINGING),
  unallocated: end(404, 1, "Unallocated number", CARRIER, SETUP),
  incomplete: end(484, 28, "Invalid number format", CARRIER, SETUP),
  noCircuit: end(503, 34, "No circuit available", CARRIER, SETUP),
  unreachable: end(408, 102, "Recovery on timer expiry", PLATFORM, SETUP),
};

function end(
  finalSipCode: number,
  q850Cause: number,
  reasonPhrase: string,
  releaseParty: ReleaseParty,
  failureStage: FailureStage,
): CallEnd {
  const [rings, answered] = [failureStage !== SETUP, finalSipCode === 200];
  return { rings, answered, finalSipCode, q850Cause, reasonPhrase, releaseParty, failureStage };
}

// Either side hangs up.
function endOf(kind: keyof typeof WEIGHTS, random: Random): CallEnd {
  if (kind !== "answered") return ENDS[kind];
  return { ...ENDS.answered, releaseParty: random.chance(0.5) ? CALLING : CALLED };
}
