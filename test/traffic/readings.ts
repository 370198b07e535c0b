import type { CallEnds } from "../../src/simulator/reconciliation/parties.ts";

/** What a side's record, or its parts together, shows: milliseconds, by the platform's clock. */
export interface SeenRecord {
  readonly inviteMs?: number | undefined;
  /** Of the platform's. */
  readonly ringingMs?: number | undefined;
  readonly answerMs?: number | undefined;
  /** Of the platform's. */
  readonly endMs?: number | undefined;
  readonly lengthMs: number;
  readonly answered: boolean;
  /** In what steps its times are written. */
  readonly resolutionMs: number;
  /** Ids of the signalling, each with its kind; of a Session-ID each end. */
  readonly ids: readonly string[];
}

/** A call as its records show it. */
export interface SeenCall {
  /** Of the call that it belongs to. */
  readonly index: number;
  readonly ends: CallEnds;
  readonly startMs: number;
  readonly answerMs?: number | undefined;
  readonly platform?: SeenRecord | undefined;
  readonly carrier?: SeenRecord | undefined;
}

// Misfits are negative logarithms of likelihoods, by the simulator's own noise (switchView in
// ../reconciliation).

/** The misfit of both calls' records, read truly. */
export function misfitOfTruth(a: SeenCall, b: SeenCall): number {
  return misfitOfCall(a.platform, a.carrier) + misfitOfCall(b.platform, b.carrier);
}

/** The least misfit of all other readings of both calls' records. */
export function bestOtherReading(a: SeenCall, b: SeenCall): number {
  const platforms = [a.platform, b.platform].filter((record) => record !== undefined);
  const carriers = [a.carrier, b.carrier].filter((record) => record !== undefined);
  const truth = new Map([a, b].map(({ platform, carrier }) => [platform, carrier]));
  const isTruth = (partners: readonly (SeenRecord | undefined)[]) =>
    platforms.every((record, place) => truth.get(record) === partners[place]);
  const readings = partnersOf(platforms.length, carriers).filter((partners) => !isTruth(partners));
  return Math.min(...readings.map((partners) => misfitOfReading(platforms, partners, carriers)));
}

/** Every way to give so many records one partner or none. */
function partnersOf(count: number, carriers: readonly SeenRecord[]): (SeenRecord | undefined)[][] {
  if (count === 0) return [[]];
  return [undefined, ...carriers].flatMap((carrier) =>
    partnersOf(
      count - 1,
      carriers.filter((each) => each !== carrier),
    ).map((rest) => [carrier, ...rest]),
  );
}

function misfitOfReading(
  platforms: readonly SeenRecord[],
  partners: readonly (SeenRecord | undefined)[],
  carriers: readonly SeenRecord[],
): number {
  const alone = carriers.filter((carrier) => !partners.includes(carrier));
  const ofPlatforms = platforms.map((record, place) => misfitOfCall(record, partners[place]));
  return [...ofPlatforms, ...alone.map((carrier) => misfitOfCall(undefined, carrier))].reduce(
    (sum, each) => sum + each,
    0,
  );
}

/** One call in a hundred lacks a record. */
const LACKING = Math.log(100);
/** One unanswered call in two is not reported. */
const UNREPORTED = Math.log(2);
/** Some time within a minute; some length within half of one. */
const ANY_TIME = Math.log(60_000);
const ANY_LENGTH = Math.log(30_000);
const OTHER_ANSWER = Math.log(100);
/** One carrier's length in fifty has the ringing in it. */
const RINGING_IN_IT = Math.log(50);
/** No two calls have an id in common by chance, and few records lose theirs. */
const IDS = 40;
const LOST_IDS = Math.log(1_000);

function misfitOfCall(platform: SeenRecord | undefined, carrier: SeenRecord | undefined): number {
  if (platform === undefined) return carrier === undefined ? 0 : LACKING + ANY_TIME + anyLength(carrier);
  if (carrier === undefined) return platform.answered ? LACKING : UNREPORTED;
  const misfit = misfitOfStart(platform, carrier) + misfitOfIds(platform, carrier);
  if (!carrier.answered) return misfit + (platform.answered ? OTHER_ANSWER : 0);
  const ofLength = misfitOfLength(platform, carrier);
  return misfit + (platform.answered ? ofLength : OTHER_ANSWER + Math.min(ofLength, ANY_LENGTH));
}

function anyLength({ answered }: SeenRecord): number {
  return answered ? ANY_LENGTH : 0;
}

function misfitOfStart(platform: SeenRecord, carrier: SeenRecord): number {
  const likeTimes = [
    [platform.answerMs, carrier.answerMs],
    [platform.inviteMs, carrier.inviteMs],
  ].flatMap(([mine, others]) => (mine === undefined || others === undefined ? [] : [others - mine]));
  const laterMs = likeTimes.length > 0 ? likeTimes : [startOf(carrier) - startOf(platform)];
  return Math.min(...laterMs.map((ms) => misfitOfDelay(ms, carrier.resolutionMs)));
}

function startOf({ inviteMs, answerMs }: SeenRecord): number {
  return inviteMs ?? answerMs ?? 0;
}

/** A switch sees things up to 120 ms later, one time in ten up to 1.5 s. */
function misfitOfDelay(laterMs: number, resolutionMs: number): number {
  if (resolutionMs > 1 && laterMs > -resolutionMs && laterMs <= 120) return Math.log(resolutionMs + 120);
  if (laterMs >= 0 && laterMs <= 120) return -Math.log(0.9 / 120);
  if (laterMs > 120 && laterMs <= 1_500) return -Math.log(0.1 / 1_380);
  return beyond(laterMs);
}

function misfitOfLength({ inviteMs, ringingMs, endMs, lengthMs }: SeenRecord, carrier: SeenRecord): number {
  const withRinging = [inviteMs, ringingMs].map((ms) => (endMs ?? 0) - (ms ?? 0));
  const misfits = withRinging.map((ms) => RINGING_IN_IT + misfitOfNoise(carrier.lengthMs - ms));
  return Math.min(misfitOfNoise(carrier.lengthMs - lengthMs), ...misfits);
}

/** Half of the lengths are equal; most others are off by 120 ms at most, some by up to 1.8 s. */
function misfitOfNoise(differenceMs: number): number {
  const offMs = Math.abs(differenceMs);
  if (offMs === 0) return -Math.log(0.5);
  if (offMs <= 120) return -Math.log(0.4 / 240);
  if (offMs <= 1_800) return -Math.log(0.1 / 3_200);
  return beyond(offMs);
}

/** What no noise does, and a fault may: the less likely, the further off. */
function beyond(offMs: number): number {
  return 14 + Math.min(Math.abs(offMs), 60_000) / 10_000;
}

function misfitOfIds({ ids }: SeenRecord, carrier: SeenRecord): number {
  if (ids.length === 0 && carrier.ids.length === 0) return 0;
  if (ids.length === 0 || carrier.ids.length === 0) return LOST_IDS;
  return ids.some((id) => carrier.ids.includes(id)) ? -IDS : IDS;
}
