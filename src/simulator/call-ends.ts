import { FailureStage } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { ReleaseParty } from "../gen/tandem/type/v1/call_pb.js";
import type { Random } from "./random.ts";

/**
 * How an attempt went on the wire. Codes: RFC 3261 section 21, ITU-T Q.850, and RFC 3398 for which
 * goes with which.
 */
export interface CallEnd {
  readonly rings: boolean;
  readonly answered: boolean;
  readonly finalSipCode: number;
  readonly q850Cause: number;
  readonly reasonPhrase: string;
  readonly releaseParty: ReleaseParty;
  readonly failureStage: FailureStage;
}

type EndKind = keyof typeof WEIGHTS;

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

/** Draws how an attempt goes. */
export function simulateEnd(random: Random): CallEnd {
  return endOf(random.weighted(WEIGHTS), random);
}

/** An attempt that the trunk refused, before its re-route. */
export function trunkRefusal(): CallEnd {
  return failed(503, 34, "No circuit available", ReleaseParty.CARRIER, FailureStage.SETUP);
}

/** An attempt that was answered and ended normally. */
export function normalEnd(random: Random): CallEnd {
  return endOf("answered", random);
}

/** An attempt that rang and was not answered. */
export function unansweredEnd(kind: "cancelled" | "noAnswer", random: Random): CallEnd {
  return endOf(kind, random);
}

function endOf(kind: EndKind, random: Random): CallEnd {
  switch (kind) {
    case "answered": {
      const releaseParty = random.chance(0.5) ? ReleaseParty.CALLING : ReleaseParty.CALLED;
      return { ...failed(200, 16, "Normal call clearing", releaseParty), rings: true, answered: true };
    }
    case "dropped":
      return {
        ...failed(200, 41, "Temporary failure", ReleaseParty.CARRIER, FailureStage.CONNECTED),
        rings: true,
        answered: true,
      };
    case "cancelled":
      return { ...failed(487, 16, "Request terminated", ReleaseParty.CALLING, FailureStage.RINGING), rings: true };
    case "noAnswer":
      return { ...failed(480, 19, "No answer from user", ReleaseParty.CARRIER, FailureStage.RINGING), rings: true };
    case "busy":
      return failed(486, 17, "User busy", ReleaseParty.CALLED, FailureStage.SETUP);
    case "rejected":
      return { ...failed(603, 21, "Call rejected", ReleaseParty.CALLED, FailureStage.RINGING), rings: true };
    case "unallocated":
      return failed(404, 1, "Unallocated number", ReleaseParty.CARRIER, FailureStage.SETUP);
    case "incomplete":
      return failed(484, 28, "Invalid number format", ReleaseParty.CARRIER, FailureStage.SETUP);
    case "noCircuit":
      return trunkRefusal();
    case "unreachable":
      return failed(408, 102, "Recovery on timer expiry", ReleaseParty.PLATFORM, FailureStage.SETUP);
    default:
      throw new Error(`unknown end ${kind satisfies never}`);
  }
}

function failed(
  finalSipCode: number,
  q850Cause: number,
  reasonPhrase: string,
  releaseParty: ReleaseParty,
  failureStage = FailureStage.UNSPECIFIED,
): CallEnd {
  return { rings: false, answered: false, finalSipCode, q850Cause, reasonPhrase, releaseParty, failureStage };
}
