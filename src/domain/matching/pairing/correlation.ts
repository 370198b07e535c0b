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

/** The ids of the signalling that can join a pair. */
export type CorrelationKind =
  | typeof MatchedBy.INTERCONNECT_DIALOG
  | typeof MatchedBy.ICID
  | typeof MatchedBy.SESSION_ID;

/** Why ids that are equal do not join a pair. */
export type Refusal = "TAGS" | "DIRECTION" | "NUMBERS" | "TIME";

/**
 * Adds the open units of both sides that have an id of the kind in common, and nothing against it.
 */
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
 * Adds the open units of which the carrier names the platform's record, with nothing against it.
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

/** A record's ids of a kind, as they are compared; none when it has none. */
export function idsOf(ids: CorrelationIds, kind: CorrelationKind): readonly string[] {
  switch (kind) {
    case MatchedBy.INTERCONNECT_DIALOG:
      return dialogTexts(ids);
    case MatchedBy.ICID:
      return icidTexts(ids);
    case MatchedBy.SESSION_ID:
      return sessionTexts(ids);
    default:
      return kind satisfies never;
  }
}

/** Whether two records have an id of a kind in common; of a dialog the Call-ID. */
export function shareId(a: CorrelationIds, b: CorrelationIds, kind: CorrelationKind): boolean {
  if (kind === MatchedBy.SESSION_ID) return isSameSession(a, b);
  const [id] = idsOf(a, kind);
  return id !== undefined && id === idsOf(b, kind)[0];
}

/** What speaks against a pair that an id joins; undefined: nothing. */
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

// Numbers are changed on the way, by translation, porting and emergency routing; Call-ID and both
// tags name one dialog. Of a Call-ID alone that is not so:
// switches have used one for two calls.
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
  /** The carrier's units by id. */
  readonly byId: ReadonlyMap<string, readonly number[]>;
  readonly idsOf: (unit: PlatformUnit) => readonly string[];
}

// An id that more units share than can be assigned tells nothing apart.
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

// As both sides wrote it down: what an id joins says which offset a clock has, and must not depend
// on it.
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
