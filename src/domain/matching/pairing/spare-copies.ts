import { type CallUnit, showsBothParties, withOffset } from "../call-unit.ts";
import type { ClockOffset } from "../facts.ts";
import { findCopies } from "./duplicates.ts";
import { type Fit, Grade } from "./pair-grade.ts";
import { type Candidate, carrierMember, isOpenCarrier, isOpenPlatform, type Pairing } from "./pairing.ts";

/**
 * As reported: one switch wrote a record and its copy by one clock, whatever offset each was found
 * to have.
 */
const AS_REPORTED: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 0, ratio: 0 };
/** Times in coarser steps do not tell a copy from the next call. */
const FINEST_MS = 1_000;

/** The carrier's units by its own clock. */
export function asReported({ carrier }: Pairing) {
  return carrier.map((unit) => (unit.offset?.offsetMs ? withOffset(unit, AS_REPORTED) : unit));
}

/** A pair that could be, and how well it fits. */
type Fitting = Candidate & { readonly fit: Fit };

/**
 * Takes copies of paired records out of what is left, so that none of them goes with the call
 * beside its own. What does not show its parties stays while its times fit an open record: it may
 * be of another caller, who hides his number too.
 */
export function markCopies(pairing: Pairing, left: readonly Fitting[]): void {
  const open = left.filter(
    ({ platform, carrier }) => isOpenPlatform(pairing, platform) && isOpenCarrier(pairing, carrier),
  );
  if (open.length === 0) return;
  const atPlatform = new Set(open.map(({ platform }) => platform));
  const atCarrier = new Set(
    open.flatMap(({ carrier }) => ((pairing.carrier[carrier]?.slackMs ?? 0) < FINEST_MS ? [carrier] : [])),
  );
  const platform = findCopies({
    units: pairing.platform,
    isMatched: (index) => pairing.carrierOf[index] !== -1,
    isLeft: (index) => atPlatform.has(index),
  });
  const carrier = findCopies({
    units: asReported(pairing),
    isMatched: (index) => pairing.platformOf[index] !== -1,
    isLeft: (index) => atCarrier.has(index),
  });
  const fitting = open.filter(({ fit }) => fit.grade !== undefined && fit.grade <= Grade.TIME);
  const mayBeAnother = new Set([
    ...fitting.flatMap(({ platform: index }) => (isHiddenIn(pairing.platform, index) ? [index] : [])),
    ...fitting.flatMap(({ carrier: index }) =>
      isHiddenIn(pairing.carrier, index) ? [carrierMember(pairing, index)] : [],
    ),
  ]);
  const mark = (member: number, original: number) => {
    if (mayBeAnother.has(member)) return;
    pairing.isSpare[member] = 1;
    pairing.decidedAt[member] = pairing.step;
    pairing.together.join(member, original);
  };
  for (const [index, copy] of platform) if (copy.isOfMatched) mark(index, copy.of);
  for (const [index, copy] of carrier) {
    if (copy.isOfMatched) mark(carrierMember(pairing, index), carrierMember(pairing, copy.of));
  }
}

function isHiddenIn(units: readonly CallUnit[], index: number): boolean {
  const unit = units[index];
  return unit !== undefined && !showsBothParties(unit);
}
