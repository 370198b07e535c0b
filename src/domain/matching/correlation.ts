import { type CarrierUnit, type PlatformUnit, startDelta } from "./call-unit.ts";
import { type CandidateSet, MAX_COMPONENT } from "./components.ts";
import type { CorrelationIds } from "./facts.ts";
import { areContradicting } from "./number-keys.ts";
import { isOpenCarrier, isOpenPlatform, type Pairing } from "./pairing.ts";
import { MatchedBy } from "./result.ts";
import { CORRELATED_WINDOW_MS } from "./time-window.ts";

/** The ids of the signalling that can join a pair. */
export type CorrelationKind = typeof MatchedBy.DIALOG | typeof MatchedBy.ICID | typeof MatchedBy.SESSION_ID;

/** Why ids that are equal do not join a pair. */
export type Refusal = "TAGS" | "DIRECTION" | "NUMBERS" | "TIME";

/** Adds the open units of both sides that have an id of the kind in common, and nothing against it. */
export function addCorrelated(pairing: Pairing, kind: CorrelationKind, candidates: CandidateSet): void {
  const byId = new Map<string, number[]>();
  for (let index = 0; index < pairing.carrier.length; index++) {
    if (!isOpenCarrier(pairing, index)) continue;
    for (const record of pairing.carrier[index]?.records ?? []) add(byId, idOf(record.ids, kind), index);
  }
  addSharing(pairing, { by: kind, byId, idOf: ({ facts }) => idOf(facts.ids, kind) }, candidates);
}

/** Adds the open units of which the carrier names the platform's record, with nothing against it. */
export function addEchoed(pairing: Pairing, candidates: CandidateSet): void {
  const byId = new Map<string, number[]>();
  for (let index = 0; index < pairing.carrier.length; index++) {
    if (!isOpenCarrier(pairing, index)) continue;
    for (const record of pairing.carrier[index]?.records ?? []) add(byId, record.echoedRecordId, index);
  }
  addSharing(pairing, { by: MatchedBy.ECHOED, byId, idOf: ({ facts }) => facts.recordId }, candidates);
}

/** A record's id of a kind; undefined when it has none. */
export function idOf(ids: CorrelationIds, kind: CorrelationKind): string | undefined {
  switch (kind) {
    case MatchedBy.DIALOG:
      return ids.dialogCallId;
    case MatchedBy.ICID:
      return ids.icid;
    case MatchedBy.SESSION_ID:
      return ids.sessionId === undefined ? undefined : sessionOf(ids.sessionId);
    default:
      return kind satisfies never;
  }
}

/** A Session-ID without regard to whose half is whose: each end writes its own UUID first (RFC 7989 section 6). */
export function sessionOf(sessionId: string): string {
  return sessionId.split(";").sort().join(";");
}

/** What speaks against a pair that an id joins; undefined: nothing. */
export function refusalOf(
  platform: PlatformUnit,
  carrier: CarrierUnit,
  by: CorrelationKind | typeof MatchedBy.ECHOED,
): Refusal | undefined {
  if (by === MatchedBy.DIALOG && !carrier.records.some((record) => isSameDialog(platform.facts.ids, record.ids))) {
    return "TAGS";
  }
  const isOpposite = platform.facts.direction !== carrier.facts.direction;
  if (isOpposite && platform.facts.direction !== 0 && carrier.facts.direction !== 0) return "DIRECTION";
  if (areContradicting(platform.numbers, carrier.numbers)) return "NUMBERS";
  return Math.abs(distanceOf(platform, carrier)) > CORRELATED_WINDOW_MS ? "TIME" : undefined;
}

/**
 * Whether two records are of one SIP dialog: the same Call-ID, and no other tags. Each side may have written its own tag as local, so tags are
 * compared without regard to which is which.
 */
export function isSameDialog(a: CorrelationIds, b: CorrelationIds): boolean {
  if (a.dialogCallId === undefined || a.dialogCallId !== b.dialogCallId) return false;
  const mine = tagsOf(a);
  const others = tagsOf(b);
  const [fewer, more] = mine.length <= others.length ? [mine, others] : [others, mine];
  return fewer.every((tag) => more.includes(tag));
}

interface Sharing {
  readonly by: CorrelationKind | typeof MatchedBy.ECHOED;
  /** The carrier's units by id. */
  readonly byId: ReadonlyMap<string, readonly number[]>;
  readonly idOf: (unit: PlatformUnit) => string | undefined;
}

// An id that more units share than can be assigned tells nothing apart.
function addSharing(pairing: Pairing, { by, byId, idOf }: Sharing, candidates: CandidateSet): void {
  if (byId.size === 0) return;
  for (const [platform, unit] of pairing.platform.entries()) {
    if (!isOpenPlatform(pairing, platform)) continue;
    const sharing = byId.get(idOf(unit) ?? "");
    if (sharing === undefined || sharing.length > MAX_COMPONENT) continue;
    for (const carrier of sharing) {
      const other = pairing.carrier[carrier];
      if (other !== undefined && refusalOf(unit, other, by) === undefined) candidates.add({ platform, carrier });
    }
  }
}

// As both sides wrote it down: what an id joins says which offset a clock has, and must not depend
// on it.
function distanceOf(platform: PlatformUnit, carrier: CarrierUnit): number {
  const correctedMs = startDelta(platform, carrier) ?? carrier.startMs - platform.startMs;
  return correctedMs + (carrier.offset?.offsetMs ?? 0);
}

function tagsOf({ dialogFromTag, dialogToTag }: CorrelationIds): string[] {
  return [dialogFromTag, dialogToTag].filter((tag) => tag !== undefined);
}

function add(byId: Map<string, number[]>, id: string | undefined, index: number): void {
  if (id === undefined || id === "") return;
  const others = byId.get(id);
  if (others === undefined) byId.set(id, [index]);
  else if (others.at(-1) !== index) others.push(index);
}
