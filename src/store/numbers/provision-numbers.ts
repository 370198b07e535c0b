import { isNoLongerServed, TandemError } from "../../domain/errors.ts";
import { provision } from "../../domain/numbers/number-changes.ts";
import { type NumberAttributes, periodAt } from "../../domain/numbers/number-state.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { readTally, Tally } from "../carriers/carrier-tally.ts";
import { recountNumbers } from "../carriers/tally-recount.ts";
import { currentCaller, finishingCall } from "../database/callers.ts";
import { carrierTransaction, systemTransaction } from "../database/database.ts";
import { findResponse, type RepeatableCall } from "../database/request-log.ts";
import { readClock, type Tx } from "../database/run.ts";
import {
  isHeldRow,
  type NumberBatch,
  type NumberDecision,
  type NumberRefusal,
  readStoredNumbers,
  type StoredNumber,
} from "./number-batch.ts";
import { freeClaims, type NumberAnswer, type NumberCall, runOnce } from "./number-call.ts";
import { type ClaimedNumbers, claimNumbers, type NumberClaim, type WantedNumber } from "./number-owners.ts";
import { PortStage } from "./number-port-rows.ts";
import { afterDuePorts } from "./number-ports.ts";
import { findOutOfRange } from "./number-ranges.ts";
import type { NumberWriter } from "./number-writer.ts";

export interface NumberOffer {
  readonly attributes: NumberAttributes;
  /** Since when the carrier has held it; absent: now. */
  readonly effectiveTime?: Micros;
}

export interface NumberOffers {
  readonly items: ReadonlyMap<string, NumberOffer>;
  /** How many of them may turn out to be another carrier's. */
  readonly mostUnavailable: number;
  /** How many numbers the carrier may hold. */
  readonly mostHeld: number;
}

/** More numbers are another carrier's than this one may learn. Nothing was claimed or changed. */
export class TooManyUnavailable extends Error {
  override readonly name = "TooManyUnavailable";
}

/**
 * Provisions numbers: claims first, then rows. A retry after a crash goes on from the claims;
 * without one, the sweeper frees them. A call that is refused in between frees the claims it made.
 * @throws TooManyUnavailable; TandemError as the judgement of the call
 */
export async function provisionNumbers(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  offers: NumberOffers,
): Promise<NumberAnswer> {
  const made: NumberClaim[] = [];
  try {
    return await claimAndProvision(writer, carrierId, call, offers, made);
  } catch (error) {
    // Calls are judged before they get a connection, so nothing was written; no retry will come.
    if (isNoLongerServed(error)) await freeClaims(writer, carrierId, made);
    throw error;
  }
}

/** @param made is given the claims that the call makes. */
async function claimAndProvision(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  offers: NumberOffers,
  made: NumberClaim[],
): Promise<NumberAnswer> {
  const { items, mostHeld } = offers;
  // Of a call that has ended it is no longer known how it was judged.
  const caller = currentCaller();
  const numbers = [...items.keys()];
  const everClaimed = new Map<string, Micros>();
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const survey = await surveyOnce(writer, carrierId, call, offers);
    if (survey.response) return { response: survey.response, unavailable: 0 };
    const found = await systemTransaction(writer.db, (tx) => claimFree(tx, carrierId, survey, offers));
    for (const [phoneNumber, claimTime] of found.claims) everClaimed.set(phoneNumber, claimTime);
    made.push(...found.made);
    const claimed: Claimed = { ...found, survey, everClaimed, atMs: performance.now() };
    const decide: NumberBatch["decide"] = (number, now, hasRoom) =>
      decideProvision(number, { offer: items.get(number.key.phoneNumber), claimed, hasRoom, mostHeld }, now);
    const run = () => runOnce(writer, carrierId, call, { numbers, decide, mostHeld }, everClaimed);
    // Claims without rows would be left behind by whoever hangs up in between.
    const answer = await finishingCall(() => afterDuePorts(writer, run), caller).catch(passClaimMissing);
    if (answer) return answer;
  }
  throw new TandemError(
    "STORE_UNAVAILABLE",
    "the numbers are being changed by other calls at the same time: call again",
  );
}

const MAX_ATTEMPTS = 5;
/** Far below the age at which the sweeper frees a claim without a row. */
const MAX_CLAIM_AGE_MS = 30_000;

/** A number is no longer as it was when it was claimed. */
class ClaimMissing extends Error {
  override readonly name = "ClaimMissing";
}

interface Survey {
  readonly response: Uint8Array | undefined;
  /** What the carrier does not hold, and is to be claimed. */
  readonly wanted: readonly WantedNumber[];
  /** How many more the carrier may hold. */
  readonly room: number;
  /** The rows of what the carrier does not hold, by revision; 0 for what it never held. */
  readonly unheld: ReadonlyMap<string, bigint>;
}

// A tally that is wrong must refuse nothing.
async function surveyOnce(writer: NumberWriter, carrierId: string, call: RepeatableCall, offers: NumberOffers) {
  const run = () => carrierTransaction(writer.db, carrierId, (tx) => surveyNumbers(tx, carrierId, call, offers));
  const readAtMs = performance.now();
  const survey = await run();
  const isFull = !survey.response && survey.wanted.length > survey.room;
  return isFull && (await recountNumbers(writer.db, carrierId, readAtMs)) ? run() : survey;
}

// A number on its way out is not claimed, nor one that the carrier's own history will refuse.
async function surveyNumbers(
  tx: Tx,
  carrierId: string,
  call: RepeatableCall,
  { items, mostHeld }: NumberOffers,
): Promise<Survey> {
  const response = await findResponse(tx, carrierId, call);
  const now = await readClock(tx);
  const stored = await readStoredNumbers(tx, carrierId, [...items.keys()]);
  const unheld = stored.filter(({ row }) => !isHeldRow(row));
  const held = await readTally(tx, carrierId, Tally.NUMBERS);
  const wanted = unheld.flatMap(({ key: { phoneNumber }, row, port, timeline }): WantedNumber[] => {
    const offer = items.get(phoneNumber);
    if (!offer || port?.stage === PortStage.LEFT) return [];
    if ("problem" in provision(timeline, offer.attributes, now, offer.effectiveTime)) return [];
    return [{ phoneNumber, earlierClaimTime: row?.claimTime, since: offer.effectiveTime }];
  });
  return {
    response,
    wanted,
    room: Math.max(0, mostHeld - Number(held)),
    unheld: new Map(unheld.map(({ key, row }) => [key.phoneNumber, row?.revision ?? 0n])),
  };
}

// What lies out of range is not looked for, so nothing is learned of it.
async function claimFree(
  tx: Tx,
  carrierId: string,
  { wanted, room }: Pick<Survey, "wanted" | "room">,
  { mostUnavailable }: NumberOffers,
): Promise<ClaimedNumbers & { readonly outOfRange: ReadonlySet<string> }> {
  const outOfRange = await findOutOfRange(
    tx,
    carrierId,
    wanted.map((number) => number.phoneNumber),
  );
  const inRange = wanted.filter((number) => !outOfRange.has(number.phoneNumber));
  const claimed = await claimNumbers(tx, carrierId, inRange, room);
  // Thrown here, it takes back what was claimed.
  if (inRange.length - claimed.beyond.size - claimed.claims.size > mostUnavailable) throw new TooManyUnavailable();
  return { ...claimed, outOfRange };
}

/** What a call has claimed before it writes rows. */
interface Claimed extends ClaimedNumbers {
  readonly survey: Survey;
  /** What the carrier may not claim, and did not. */
  readonly outOfRange: ReadonlySet<string>;
  /** By all attempts of the call. */
  readonly everClaimed: ReadonlyMap<string, Micros>;
  readonly atMs: number;
}

interface ProvisionCase {
  readonly offer: NumberOffer | undefined;
  readonly claimed: Claimed;
  readonly hasRoom: boolean;
  readonly mostHeld: number;
}

function decideProvision(
  { key: { phoneNumber }, timeline, row }: StoredNumber,
  { offer, claimed, hasRoom, mostHeld }: ProvisionCase,
  now: Micros,
): NumberDecision | NumberRefusal {
  if (!offer) throw new Error("a number that nobody named");
  const change = provision(timeline, offer.attributes, now, offer.effectiveTime);
  if ("problem" in change || periodAt(timeline, now)) {
    return { ...change, claimTime: claimed.everClaimed.get(phoneNumber) };
  }
  if (claimed.outOfRange.has(phoneNumber)) return outOfRange();
  // A claim that is left over is freed by the sweeper: another call of the carrier may go by it.
  if (!hasRoom || claimed.beyond.has(phoneNumber)) return tooManyHeld(mostHeld);
  if (!isClaimed(phoneNumber, row?.revision ?? 0n, claimed)) return unavailable(claimed.overlaps.has(phoneNumber));
  return { ...change, claimTime: claimed.everClaimed.get(phoneNumber) };
}

// A claim counts if its number is as it was before. If the number was provisioned and left again
// since, its claim went along; an old claim may have been swept up.
function isClaimed(phoneNumber: string, revision: bigint, { survey, claims, atMs }: Claimed): boolean {
  if (survey.unheld.get(phoneNumber) !== revision) throw new ClaimMissing();
  if (!claims.has(phoneNumber)) return false;
  if (performance.now() - atMs > MAX_CLAIM_AGE_MS) throw new ClaimMissing();
  return true;
}

function unavailable(isOverlap: boolean): NumberRefusal {
  const field = isOverlap ? "effective_time" : "phone_number";
  const message = isOverlap ? "another carrier held the number at that time" : "another carrier holds the number";
  return { problem: { reason: "NUMBER_UNAVAILABLE", field, message, retryable: false } };
}

function outOfRange(): NumberRefusal {
  const message = "the number lies outside the carrier's ranges, and no port and no approval names it";
  return { problem: { reason: "NUMBER_OUT_OF_RANGE", field: "phone_number", message, retryable: false } };
}

function tooManyHeld(most: number): NumberRefusal {
  const message = `the carrier holds ${most} numbers, as many as it may: release some`;
  return { problem: { reason: "LIMIT_REACHED", field: "", message, retryable: false } };
}

function passClaimMissing(error: unknown): undefined {
  if (!(error instanceof ClaimMissing)) throw error;
}
