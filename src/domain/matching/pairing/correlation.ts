import { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { type CarrierUnit, type PlatformUnit, startDelta } from "../call-unit.ts";
import type { CorrelationIds } from "../facts.ts";
import { areContradicting } from "../number-keys.ts";
import {
  dialogTexts,
  icidTexts,
  isProvenDialog,
  isSameDialog,
  isSameSession,
  sessionTexts,
} from "../signalling-ids.ts";
import { type CandidateSet, MAX_COMPONENT } from "./components.ts";
import { isOpenCarrier, isOpenPlatform, type Pairing } from "./pairing.ts";
import { CORRELATED_WINDOW_MS } from "./time-window.ts";

export type CorrelationKind =
  | typeof MatchedBy.INTERCONNECT_DIALOG
  | typeof MatchedBy.ICID
  | typeof MatchedBy.SESSION_ID;

/** Why equal ids do not join a pair. */
export type Refusal = "TAGS" | "DIRECTION" | "NUMBERS" | "TIME";

/** Adds pairs of open units that share an id of the kind, unless something refuses them. */
export function addCorrelated(pairing: Pairing, kind: CorrelationKind, candidates: CandidateSet): void {
  const byId = new Map<string, number[]>();
  for (let index = 0; index < pairing.carrier.length; index++) {
    if (!isOpenCarrier(pairing, index)) continue;
    for (const { ids } of pairing.carrier[index]?.records ?? []) {
      if (hasIdOf(ids, kind)) for (const id of idsOf(ids, kind)) add(byId, id, index);
    }
  }
  const ofUnit = ({ records }: PlatformUnit) =>
    records.flatMap(({ ids }) => (hasIdOf(ids, kind) ? idsOf(ids, kind) : NO_IDS));
  addSharing(pairing, { by: kind, byId, idsOf: ofUnit }, candidates);
}

/**
 * Adds pairs of open units where the carrier names the platform's record, unless something refuses
 * them.
 */
export function addEchoed(pairing: Pairing, candidates: CandidateSet): void {
  const byId = new Map<string, number[]>();
  for (let index = 0; index < pairing.carrier.length; index++) {
    if (!isOpenCarrier(pairing, index)) continue;
    for (const { echoedRecordId } of pairing.carrier[index]?.records ?? []) add(byId, echoedRecordId, index);
  }
  const named = ({ records }: PlatformUnit) => records.map(({ recordId }) => recordId);
  addSharing(pairing, { by: MatchedBy.ECHOED, byId, idsOf: named }, candidates);
}

export function idsOf(ids: CorrelationIds, kind: CorrelationKind): readonly string[] {
  return TEXTS[kind](ids);
}

const TEXTS: Readonly<Record<CorrelationKind, (ids: CorrelationIds) => readonly string[]>> = {
  [MatchedBy.INTERCONNECT_DIALOG]: dialogTexts,
  [MatchedBy.ICID]: icidTexts,
  [MatchedBy.SESSION_ID]: sessionTexts,
};

/** Whether two records share an id of a kind; for a dialog, the Call-ID. */
export function shareId(a: CorrelationIds, b: CorrelationIds, kind: CorrelationKind): boolean {
  if (kind === MatchedBy.SESSION_ID) return isSameSession(a, b);
  const [id] = idsOf(a, kind);
  return id !== undefined && id === idsOf(b, kind)[0];
}

/** Undefined: nothing speaks against the pair. */
export function refusalOf(
  platform: PlatformUnit,
  carrier: CarrierUnit,
  by: CorrelationKind | typeof MatchedBy.ECHOED,
): Refusal | undefined {
  if (by === MatchedBy.INTERCONNECT_DIALOG && !areAny(platform, carrier, isSameDialog)) return "TAGS";
  if (by === MatchedBy.SESSION_ID && !areAny(platform, carrier, isSameSession)) return "TAGS";
  const isOpposite = platform.facts.direction !== carrier.facts.direction;
  if (isOpposite && platform.facts.direction !== 0 && carrier.facts.direction !== 0) return "DIRECTION";
  if (areContradicting(platform.numbers, carrier.numbers) && !isProved(platform, carrier, by)) return "NUMBERS";
  return Math.abs(distanceOf(platform, carrier)) > CORRELATED_WINDOW_MS ? "TIME" : undefined;
}

// Translation, porting and emergency routing change numbers on the way, but Call-ID and both tags
// prove one dialog. A Call-ID alone does not: switches have used one for two calls.
function isProved(platform: PlatformUnit, carrier: CarrierUnit, by: CorrelationKind | typeof MatchedBy.ECHOED) {
  return by === MatchedBy.INTERCONNECT_DIALOG && areAny(platform, carrier, isProvenDialog);
}

function areAny(
  platform: PlatformUnit,
  carrier: CarrierUnit,
  holds: (a: CorrelationIds, b: CorrelationIds) => boolean,
): boolean {
  return platform.records.some((mine) => carrier.records.some((others) => holds(mine.ids, others.ids)));
}

interface Sharing {
  readonly by: CorrelationKind | typeof MatchedBy.ECHOED;
  readonly byId: ReadonlyMap<string, readonly number[]>;
  readonly idsOf: (unit: PlatformUnit) => readonly string[];
}

// An id shared by more units than can be assigned identifies nothing.
function addSharing(pairing: Pairing, { by, byId, idsOf: idsOfUnit }: Sharing, candidates: CandidateSet): void {
  if (byId.size === 0) return;
  for (const [platform, unit] of pairing.platform.entries()) {
    if (!isOpenPlatform(pairing, platform)) continue;
    for (const carrier of sharingOf(byId, idsOfUnit(unit))) {
      const other = pairing.carrier[carrier];
      if (other !== undefined && refusalOf(unit, other, by) === undefined) candidates.add({ platform, carrier });
    }
  }
}

function sharingOf(byId: ReadonlyMap<string, readonly number[]>, ids: readonly string[]): Iterable<number> {
  const lists = ids.flatMap((id) => {
    const sharing = byId.get(id);
    return sharing === undefined || sharing.length > MAX_COMPONENT ? [] : [sharing];
  });
  const [only = NO_UNITS, ...others] = lists;
  return others.length === 0 ? only : [...new Set(lists.flat())].sort((a, b) => a - b);
}

const NO_UNITS: readonly number[] = [];
const NO_IDS: readonly string[] = [];

function hasIdOf({ dialogCallId, icid, sessionId }: CorrelationIds, kind: CorrelationKind): boolean {
  if (kind === MatchedBy.INTERCONNECT_DIALOG) return dialogCallId !== undefined;
  return (kind === MatchedBy.ICID ? icid : sessionId) !== undefined;
}

// Uncorrected: pairs joined by ids vote on the offset, so they must not depend on it.
function distanceOf(platform: PlatformUnit, carrier: CarrierUnit): number {
  const correctedMs = startDelta(platform, carrier) ?? carrier.startMs - platform.startMs;
  return correctedMs + (carrier.offset?.offsetMs ?? 0);
}

function add(byId: Map<string, number[]>, id: string | undefined, index: number): void {
  if (id === undefined || id === "") return;
  const others = byId.get(id);
  if (others === undefined) byId.set(id, [index]);
  else if (others.at(-1) !== index) others.push(index);
}
