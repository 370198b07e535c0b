import { TandemError } from "../domain/errors.ts";
import type { Micros } from "../domain/instant.ts";
import { type AssignmentRequest, assign, notHeld, provision, release, unassign } from "../domain/number-changes.ts";
import { type NumberAttributes, NumberState, periodAt } from "../domain/number-state.ts";
import { carrierTransaction, systemTransaction, type Tx } from "./database.ts";
import { type FeedLock, lockFeed } from "./feed-head.ts";
import {
  changeNumbers,
  type NumberBatch,
  type NumberBatchOutcome,
  type NumberResult,
  type StoredNumber,
} from "./number-batch.ts";
import { claimNumbers, freeNumbers, type NumberClaim } from "./number-owners.ts";
import { PortStage, readUnfinishedPorts, type StoredPort } from "./number-port-rows.ts";
import { afterDuePorts, decidePort, settlePorts } from "./number-ports.ts";
import { readRows } from "./number-rows.ts";
import type { NumberWriter } from "./number-writer.ts";
import { findResponse, insertResponse, type RepeatableCall } from "./request-log.ts";
import { Feed } from "./schema.ts";

/** A batch method's call: what makes it repeatable, and how its answer is encoded from what became of each number. */
export interface NumberCall extends RepeatableCall {
  readonly respond: (results: ReadonlyMap<string, NumberResult>) => Uint8Array;
}

/** A number that a carrier offers. */
export interface NumberOffer {
  readonly attributes: NumberAttributes;
  /** Since when the carrier has held it; absent: now. */
  readonly effectiveTime?: Micros;
}

/** A batch method's answer. */
export interface NumberAnswer {
  readonly response: Uint8Array;
  /** How many numbers were found to be another carrier's; 0 for an answer that is repeated. */
  readonly unavailable: number;
}

/**
 * Provisions numbers for a carrier. Claim first: the claims are committed, then the carrier's rows. A retry after a crash in between finds itself the
 * owner and goes on; if none comes, the sweeper frees the claims.
 */
export async function provisionNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  items: ReadonlyMap<string, NumberOffer>,
): Promise<NumberAnswer> {
  const numbers = [...items.keys()];
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const survey = await carrierTransaction(writer.db, carrierId, (tx) => surveyNumbers(tx, carrierId, call, numbers));
    if (survey.response) return { response: survey.response, unavailable: 0 };
    const claims = await systemTransaction(writer.db, (tx) => claimNumbers(tx, carrierId, survey.free));
    const claimed: Claimed = { survey, claims, atMs: performance.now() };
    const decide: NumberBatch["decide"] = (number, now) => decideProvision(number, items, claimed, now);
    const answer = await afterDuePorts(writer, () => runOnce(writer, carrierId, call, numbers, decide)).catch(
      passClaimMissing,
    );
    if (answer) return answer;
  }
  throw new TandemError(
    "STORE_UNAVAILABLE",
    "the numbers are being changed by other calls at the same time: call again",
  );
}

/** Releases numbers of a carrier. The rows are committed first, then the claims are freed; the sweeper frees those that a crash left. */
export async function releaseNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  numbers: readonly string[],
): Promise<NumberAnswer> {
  const freed: NumberClaim[] = [];
  const answer = await afterDuePorts(writer, () => {
    freed.length = 0;
    return runOnce(writer, carrierId, call, numbers, ({ key, timeline, row, port }, now) => {
      const change = release(timeline, now);
      if ("problem" in change) return change;
      if (row) freed.push({ phoneNumber: key.phoneNumber, claimTime: row.claimTime });
      return port?.stage === PortStage.SCHEDULED ? { ...change, port: null } : change;
    });
  });
  await systemTransaction(writer.db, (tx) => freeNumbers(tx, carrierId, freed)).catch(writer.onError);
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

/** Ends the assignment of numbers of a carrier at a time; absent: now. */
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

/** Ports numbers of a carrier to another at a time; when that has come, they are there before this returns, unless the other's store fails. */
export async function portNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  numbers: readonly string[],
  request: { toCarrierId: string; effectiveTime: Micros },
): Promise<NumberAnswer> {
  const answer = await changeHeld(writer, carrierId, call, numbers, (number, now) => decidePort(number, request, now));
  await settlePorts(writer, numbers).catch(writer.onError);
  return answer;
}

const MAX_ATTEMPTS = 5;
/** Far below the age at which the sweeper frees a claim without a row. */
const MAX_CLAIM_AGE_MS = 30_000;

/** A number that has no claim now and had a row when it was looked at. */
class ClaimMissing extends Error {
  override readonly name = "ClaimMissing";
}

/** What a call has claimed before it writes rows. */
interface Claimed {
  readonly survey: Survey;
  readonly claims: ReadonlyMap<string, Micros>;
  readonly atMs: number;
}

function decideProvision(
  { key: { phoneNumber }, timeline }: StoredNumber,
  items: ReadonlyMap<string, NumberOffer>,
  { survey, claims, atMs }: Claimed,
  now: Micros,
) {
  const offer = items.get(phoneNumber);
  if (!offer) throw new Error("a number that nobody named");
  const claimTime = claims.get(phoneNumber);
  if (!periodAt(timeline, now)) {
    if (claimTime === undefined && survey.isUnheld(phoneNumber)) return unavailable();
    // Given up since the survey, or claimed so long ago that the sweeper may have freed it.
    if (claimTime === undefined || performance.now() - atMs > MAX_CLAIM_AGE_MS) throw new ClaimMissing();
  }
  const change = provision(timeline, offer.attributes, now, offer.effectiveTime);
  return "problem" in change || claimTime === undefined ? change : { ...change, claimTime };
}

interface Survey {
  readonly response: Uint8Array | undefined;
  /** What the carrier does not hold, and is to be claimed. */
  readonly free: readonly string[];
  /** Whether the carrier did not hold a number: if it has no claim either, it is another's, or on its way to another. */
  readonly isUnheld: (phoneNumber: string) => boolean;
}

// A number that is on its way out of the carrier is not claimed: the claim is still the carrier's for a moment.
async function surveyNumbers(
  tx: Tx,
  carrierId: string,
  call: RepeatableCall,
  numbers: readonly string[],
): Promise<Survey> {
  const response = await findResponse(tx, carrierId, call);
  const rows = await readRows(tx, carrierId, numbers);
  const ports = await readUnfinishedPorts(tx, carrierId, numbers);
  const isHeld = (phoneNumber: string) => {
    const state = rows.get(phoneNumber)?.state;
    return state === NumberState.PROVISIONED || state === NumberState.ASSIGNED;
  };
  const unheld = numbers.filter((phoneNumber) => !isHeld(phoneNumber));
  const isUnheld = new Set(unheld);
  return {
    response,
    free: unheld.filter((phoneNumber) => ports.get(phoneNumber)?.stage !== PortStage.LEFT),
    isUnheld: (phoneNumber) => isUnheld.has(phoneNumber),
  };
}

function unavailable(): {
  problem: { reason: "NUMBER_UNAVAILABLE"; field: string; message: string; retryable: boolean };
} {
  const message = "another carrier holds the number";
  return { problem: { reason: "NUMBER_UNAVAILABLE", field: "phone_number", message, retryable: false } };
}

function passClaimMissing(error: unknown): undefined {
  if (!(error instanceof ClaimMissing)) throw error;
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
  return afterDuePorts(writer, () => runOnce(writer, carrierId, call, numbers, decide));
}

// In one transaction: the answer given before, or the change and its answer.
async function runOnce(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  numbers: readonly string[],
  decide: NumberBatch["decide"],
): Promise<NumberAnswer> {
  const { response, outcome } = await carrierTransaction(writer.db, carrierId, async (tx) => {
    const lock: FeedLock = await lockFeed(tx, carrierId, Feed.NUMBERS);
    const given = await findResponse(tx, carrierId, call);
    if (given) return { response: given, outcome: undefined };
    const done = await changeNumbers(tx, lock, { carrierId, numbers, decide, encode: writer.encode });
    const fresh = call.respond(done.results);
    await insertResponse(tx, carrierId, call, fresh);
    return { response: fresh, outcome: done };
  });
  if (outcome) writer.changed(carrierId, outcome);
  return { response, unavailable: outcome ? countUnavailable(outcome) : 0 };
}

function countUnavailable({ results }: NumberBatchOutcome): number {
  let count = 0;
  for (const result of results.values()) {
    if ("problem" in result && result.problem.reason === "NUMBER_UNAVAILABLE") count++;
  }
  return count;
}
