import { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { type CarrierUnit, type PlatformUnit, startDelta } from "../call-unit.ts";
import type { CarrierFacts, CommonFacts, CorrelationIds, PlatformFacts } from "../facts.ts";
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

/** Adds pairs of open units that share an id of the kind and are not refused. */
export function addCorrelated(pairing: Pairing, by: CorrelationKind, candidates: CandidateSet): void {
  const idsOfAll = (records: readonly CommonFacts[]) =>
    records.flatMap(({ ids }) => (hasIdOf(ids, by) ? idsOf(ids, by) : NO_IDS));
  addSharing(pairing, by, candidates, { ofPlatform: idsOfAll, ofCarrier: idsOfAll });
}

/** Adds pairs of open units where the carrier names the platform's record. */
export function addEchoed(pairing: Pairing, candidates: CandidateSet): void {
  addSharing(pairing, MatchedBy.ECHOED, candidates, {
    ofPlatform: (records) => records.map(({ recordId }) => recordId),
    ofCarrier: (records) => records.flatMap(({ echoedRecordId }) => echoedRecordId || NO_IDS),
  });
}

export function idsOf(ids: CorrelationIds, kind: CorrelationKind): readonly string[] {
  return TEXTS[kind](ids);
}

const TEXTS: Readonly<Record<CorrelationKind, (ids: CorrelationIds) => readonly string[]>> = {
  [MatchedBy.INTERCONNECT_DIALOG]: dialogTexts,
  [MatchedBy.ICID]: icidTexts,
  [MatchedBy.SESSION_ID]: sessionTexts,
};

/** Whether two records share an id; of a dialog, the Call-ID. */
export function shareId(a: CorrelationIds, b: CorrelationIds, kind: CorrelationKind): boolean {
  if (kind === MatchedBy.SESSION_ID) return isSameSession(a, b);
  const [id] = idsOf(a, kind);
  return id !== undefined && id === idsOf(b, kind)[0];
}

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

// Numbers change on the way, but Call-ID and both tags prove one dialog. A Call-ID alone does not:
// switches have used one twice.
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
  readonly ofPlatform: (records: readonly PlatformFacts[]) => readonly string[];
  readonly ofCarrier: (records: readonly CarrierFacts[]) => readonly string[];
}

// An id of more units than can be assigned identifies nothing.
function addSharing(
  pairing: Pairing,
  by: CorrelationKind | typeof MatchedBy.ECHOED,
  candidates: CandidateSet,
  { ofPlatform, ofCarrier }: Sharing,
): void {
  const byId = new Map<string, number[]>();
  const open = [...pairing.carrier.entries()].filter(([carrier]) => isOpenCarrier(pairing, carrier));
  for (const [carrier, { records }] of open) for (const id of ofCarrier(records)) add(byId, id, carrier);
  if (byId.size === 0) return;
  for (const [platform, unit] of pairing.platform.entries()) {
    if (!isOpenPlatform(pairing, platform)) continue;
    for (const carrier of sharingOf(byId, ofPlatform(unit.records))) {
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

// Uncorrected: pairs joined by ids vote on the offset and must not depend on it.
function distanceOf(platform: PlatformUnit, carrier: CarrierUnit): number {
  const correctedMs = startDelta(platform, carrier) ?? carrier.startMs - platform.startMs;
  return correctedMs + (carrier.offset?.offsetMs ?? 0);
}

function add(byId: Map<string, number[]>, id: string, index: number): void {
  const others = byId.get(id);
  if (others === undefined) byId.set(id, [index]);
  else if (others.at(-1) !== index) others.push(index);
}
