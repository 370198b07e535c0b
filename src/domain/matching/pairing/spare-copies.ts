import { type CallUnit, showsBothParties, withOffset } from "../call-unit.ts";
import type { ClockOffset } from "../facts.ts";
import { findCopies } from "./duplicates.ts";
import { type Fit, Grade } from "./pair-grade.ts";
import { type Candidate, carrierMember, isOpenCarrier, isOpenPlatform, type Pairing } from "./pairing.ts";

/** Uncorrected: one switch wrote a record and its copy by one clock. */
const AS_REPORTED: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 0, ratio: 0 };
/** Coarser times cannot tell a copy from the next call. */
const FINEST_MS = 1_000;

export function asReported({ carrier }: Pairing) {
  return carrier.map((unit) => (unit.offset?.offsetMs ? withOffset(unit, AS_REPORTED) : unit));
}

type Fitting = Candidate & { readonly fit: Fit };

/**
 * Removes copies of paired records from what is left, so that they do not pair with neighbouring
 * calls. A record with hidden parties stays while its times fit an open record: it may be another
 * hidden caller's.
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
