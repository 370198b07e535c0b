import type { CarrierUnit, PlatformUnit } from "./call-unit.ts";
import { CandidateSet } from "./components.ts";
import { addCorrelated, addEchoed } from "./correlation.ts";
import { NumberIndex } from "./number-index.ts";
import { isOpenCarrier, isOpenPlatform, type Pairing, startPairing } from "./pairing.ts";
import { MatchedBy } from "./result.ts";
import { isInWindow, WINDOW_MS } from "./time-window.ts";

/**
 * Pairs units one to one: by dialog, ICID and Session-ID; what is left by numbers and time; and what is still left by the platform's id that the carrier
 * sent back, so that an echo counts only where nothing else speaks for the pair. Both lists are in the order of start and id.
 */
export function pairUnits(platform: readonly PlatformUnit[], carrier: readonly CarrierUnit[]): Pairing {
  const pairing = startPairing(platform, carrier);
  for (const kind of [MatchedBy.DIALOG, MatchedBy.ICID, MatchedBy.SESSION_ID]) {
    const candidates = new CandidateSet(pairing, kind);
    addCorrelated(pairing, kind, candidates);
    candidates.assign();
  }
  const byNumbers = new CandidateSet(pairing, MatchedBy.NUMBERS_AND_TIME);
  addByNumbers(pairing, byNumbers);
  byNumbers.assign();
  const byEcho = new CandidateSet(pairing, MatchedBy.ECHOED);
  addEchoed(pairing, byEcho);
  byEcho.assign();
  return pairing;
}

function addByNumbers(pairing: Pairing, candidates: CandidateSet): void {
  const { platform, carrier } = pairing;
  const open: number[] = [];
  for (let index = 0; index < carrier.length; index++) if (isOpenCarrier(pairing, index)) open.push(index);
  if (open.length === 0) return;
  const units = open.flatMap((index) => carrier[index] ?? []);
  const index = new NumberIndex(
    units,
    platform.filter((_, position) => isOpenPlatform(pairing, position)),
  );
  const reachMs = WINDOW_MS + units.reduce((most, unit) => Math.max(most, unit.slackMs), 0);
  for (const [position, seeker] of platform.entries()) {
    if (!isOpenPlatform(pairing, position)) continue;
    const fromMs = seeker.startMs - reachMs;
    const toMs = (seeker.answerMs ?? seeker.startMs) + reachMs;
    index.visit(seeker, fromMs, toMs, (at) => {
      const unit = units[at];
      if (unit !== undefined && isInWindow(seeker, unit)) {
        candidates.add({ platform: position, carrier: open[at] ?? 0 });
      }
    });
  }
}
