import type { CallEnds } from "../reconciliation/parties.ts";

/** What one side's record, or its parts together, shows of a call; milliseconds, by the platform's clock. */
export interface SeenRecord {
  readonly inviteMs?: number | undefined;
  readonly answerMs?: number | undefined;
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

// Misfits are negative logarithms of how likely something is by the noise that the simulator puts in; see switchView in ../reconciliation.

/** How little the records of both calls fit, read as they are. */
export function misfitOfTruth(a: SeenCall, b: SeenCall): number {
  return misfitOfCall(a.platform, a.carrier) + misfitOfCall(b.platform, b.carrier);
}

/** The least misfit of all other readings of the records of both calls: another one each, or some of them alone. */
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
/** Some time within a minute, and some length within half of one. */
const ANYWHERE = Math.log(60_000) + Math.log(30_000);
const OTHER_ANSWER = Math.log(1_000);
const OTHER_IDS = 40;

function misfitOfCall(platform: SeenRecord | undefined, carrier: SeenRecord | undefined): number {
  if (platform === undefined) return carrier === undefined ? 0 : LACKING + ANYWHERE;
  if (carrier === undefined) return platform.answered ? LACKING : UNREPORTED;
  if (platform.answered !== carrier.answered)
    return OTHER_ANSWER + misfitOfStart(platform, carrier) + misfitOfIds(platform, carrier);
  return misfitOfStart(platform, carrier) + misfitOfLength(platform, carrier) + misfitOfIds(platform, carrier);
}

/** A switch sees things up to 120 ms later, one time in ten up to 1.5 s. */
function misfitOfStart(platform: SeenRecord, carrier: SeenRecord): number {
  const isByAnswer = platform.answerMs !== undefined && carrier.answerMs !== undefined;
  const [mine, others] = isByAnswer
    ? [platform.answerMs, carrier.answerMs]
    : [platform.inviteMs ?? platform.answerMs, carrier.inviteMs ?? carrier.answerMs];
  const laterMs = (others ?? 0) - (mine ?? 0);
  if (carrier.resolutionMs > 1 && laterMs > -carrier.resolutionMs && laterMs <= 120)
    return Math.log(carrier.resolutionMs + 120);
  if (laterMs >= 0 && laterMs <= 120) return -Math.log(0.9 / 120);
  if (laterMs > 120 && laterMs <= 1_500) return -Math.log(0.1 / 1_380);
  return beyond(laterMs);
}

/** Half of the lengths are equal; most others are off by 120 ms at most, some by up to 1.8 s. */
function misfitOfLength(platform: SeenRecord, carrier: SeenRecord): number {
  if (!platform.answered) return 0;
  const offMs = Math.abs(carrier.lengthMs - platform.lengthMs);
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
  if (ids.length === 0 || carrier.ids.length === 0) return OTHER_ANSWER;
  return ids.some((id) => carrier.ids.includes(id)) ? 0 : OTHER_IDS;
}
