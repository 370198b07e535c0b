import { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { type CarrierUnit, type PlatformUnit, startDelta, withOffset } from "../call-unit.ts";
import type { MatchingAgreement } from "../facts.ts";
import { CandidateSet } from "./components.ts";
import { addCorrelated, addEchoed } from "./correlation.ts";
import { markCrowded } from "./crowds.ts";
import { MOST_TIMES, NumberIndex, rangesAround } from "./number-index.ts";
import { isAtOneTime, NEAR_MS } from "./pair-grade.ts";
import { carrierMember, isOpenCarrier, isOpenPlatform, joinPair, type Pairing, startPairing } from "./pairing.ts";
import { isInWindow, WINDOW_MS } from "./time-window.ts";

/**
 * Pairs units one to one, best evidence first: pairs of before an erasure; dialog, ICID,
 * Session-ID; numbers and time by the hour's first offset, then its second; at last the platform's
 * id that the carrier sent back. Both lists are in order of start and id.
 */
export function pairUnits(
  platform: readonly PlatformUnit[],
  carrier: readonly CarrierUnit[],
  agreement: MatchingAgreement,
): Pairing {
  const pairing = startPairing(platform, carrier);
  joinKnown(pairing);
  for (const kind of [MatchedBy.INTERCONNECT_DIALOG, MatchedBy.ICID, MatchedBy.SESSION_ID] as const) {
    const candidates = new CandidateSet(pairing, kind, agreement);
    addCorrelated(pairing, kind, candidates);
    candidates.assign();
  }
  chooseOffsets(pairing);
  pairByNumbers(pairing, agreement, () => true);
  pairBySecondOffset(pairing, agreement);
  chooseOffsets(pairing);
  const byEcho = new CandidateSet(pairing, MatchedBy.ECHOED, agreement);
  addEchoed(pairing, byEcho);
  byEcho.assign();
  return pairing;
}

function joinKnown(pairing: Pairing): void {
  const joined = pairing.carrier.flatMap(({ facts: { joinedTo } }, carrier) =>
    joinedTo ? [{ joinedTo, carrier }] : [],
  );
  if (joined.length === 0) return;
  const positions = new Map(
    pairing.platform.flatMap(({ records }, platform) =>
      records.map(({ recordDate, recordId }) => [`${recordDate}/${recordId}`, platform] as const),
    ),
  );
  for (const { joinedTo, carrier } of joined) {
    const platform = positions.get(`${joinedTo.recordDate}/${joinedTo.recordId}`);
    if (platform === undefined) continue;
    pairing.together.join(platform, carrierMember(pairing, carrier));
    if (pairing.carrierOf[platform] === -1) {
      joinPair(pairing, { platform, carrier }, joinedTo.by as MatchedBy);
      if (joinedTo.isAlone) pairing.isAlone[platform] = 1;
    } else {
      pairing.platformOf[carrier] = platform;
      pairing.furtherParts.set(platform, [...(pairing.furtherParts.get(platform) ?? []), carrier]);
    }
  }
}

// Chooses between an hour's offsets once the pair is made.
function chooseOffsets({ platform, carrier, platformOf }: Pairing): void {
  for (let index = 0; index < carrier.length; index++) {
    const unit = carrier[index];
    const second = unit?.offset?.second;
    const mate = platform[platformOf[index] ?? -1];
    if (unit === undefined || second === undefined || mate === undefined) continue;
    const moved = withOffset(unit, second);
    const distance = (each: CarrierUnit) => Math.abs(startDelta(mate, each) ?? 0);
    if (distance(moved) < distance(unit)) carrier[index] = moved;
  }
}

function pairBySecondOffset(pairing: Pairing, agreement: MatchingAgreement): void {
  const { carrier, platformOf } = pairing;
  const before = new Map<number, CarrierUnit>();
  for (let index = 0; index < carrier.length; index++) {
    const unit = carrier[index];
    const second = unit?.offset?.second;
    if (unit === undefined || second === undefined || !isOpenCarrier(pairing, index)) continue;
    before.set(index, unit);
    carrier[index] = withOffset(unit, second);
  }
  if (before.size === 0) return;
  pairByNumbers(pairing, agreement, (index) => before.has(index));
  for (const [index, unit] of before) if (platformOf[index] === -1) carrier[index] = unit;
}

function pairByNumbers(pairing: Pairing, agreement: MatchingAgreement, isAsked: (carrier: number) => boolean): void {
  const { platform, carrier } = pairing;
  const open = [...carrier.keys()].filter((index) => isOpenCarrier(pairing, index) && isAsked(index));
  if (open.length === 0) return;
  const units = open.flatMap((index) => carrier[index] ?? []);
  const seekers = [...platform.keys()].filter((index) => isOpenPlatform(pairing, index));
  const index = new NumberIndex(
    units,
    seekers.flatMap((seeker) => platform[seeker] ?? []),
  );
  const candidates = new CandidateSet(pairing, MatchedBy.NUMBERS_AND_TIME, agreement);
  const slackMs = units.reduce((most, unit) => Math.max(most, unit.slackMs), 0);
  const crowded: number[] = [];
  for (const position of seekers) {
    const seeker = platform[position];
    if (seeker === undefined) continue;
    const ask = (reachMs: number, isNear: (platform: PlatformUnit, carrier: CarrierUnit) => boolean) => {
      const ranges = rangesAround(seeker, reachMs + slackMs);
      if (index.hasMore(seeker, ranges, MOST_TIMES)) return false;
      index.visit(seeker, ranges, (at) => {
        const unit = units[at];
        if (unit && isNear(seeker, unit)) candidates.add({ platform: position, carrier: open[at] ?? 0 });
      });
      return true;
    };
    if (ask(WINDOW_MS, isInWindow)) continue;
    crowded.push(position);
    ask(NEAR_MS, isAtOneTime);
  }
  candidates.assign();
  markCrowded(pairing, crowded, open);
}
