import type { LoneResult } from "../domain/matching/lone-results.ts";
import type { LonePair } from "../domain/matching/pairing/lone-pairs.ts";
import { hash64 } from "../domain/matching/signalling-ids.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../domain/record-kind.ts";
import { microsFromMs } from "../domain/time/instant.ts";
import type { ZoneDays } from "../domain/time/zone-days.ts";
import type { ResultName } from "../store/reconciliation/call-result-columns.ts";
import type { PairRow } from "../store/reconciliation/pair-results.ts";
import { hasIds, idKeysOf } from "./call-keys.ts";
import { nameText, otherParty } from "./result-row.ts";

/** A lone pair that agrees. Nobody is told of it, and it is written without a look at others. */
export interface LoneCall {
  readonly result: LoneResult;
  /** Keys of the ids by which another record could belong to it. */
  readonly idKeys: readonly bigint[];
}

export interface LoneRow {
  readonly pair: LonePair;
  readonly row: PairRow;
  readonly name: string;
}

export function loneCall(result: LoneResult): LoneCall {
  const { platform, carrier, by } = result.pair;
  const isWithout = !hasIds(platform.ids) && !hasIds(carrier.ids);
  return { result, idKeys: isWithout ? NO_KEYS : idKeysOf({ platform, carrier: [carrier], matchedBy: by }) };
}

const NO_KEYS: readonly bigint[] = [];

/** The name that the carrier's record would have as a result of its own. */
export function memberName({ carrier: { recordId, recordDate } }: LonePair): ResultName {
  return { side: CARRIER_SIDE, recordId, recordDate };
}

/** Its row, with the columns and the hash that `judgedRow` gives it. */
export function loneRow({ result, idKeys }: LoneCall, days: ZoneDays, toleranceMs: number): LoneRow {
  const { pair } = result;
  const { platform, carrier } = pair;
  const { recordId, recordDate } = platform;
  const other = otherParty(platform);
  const row = {
    recordId,
    recordDate,
    revision: platform.revision,
    carrierRecordId: carrier.recordId,
    carrierRecordDate: carrier.recordDate,
    carrierRevision: carrier.revision,
    startMs: result.startMs,
    callDate: days.dayOf(microsFromMs(result.startMs)),
    status: result.status,
    matchedBy: pair.by,
    direction: platform.direction,
    phoneNumber: platform.phoneNumber,
    customerId: platform.customerId,
    trunkId: platform.trunkId ?? carrier.trunkId,
    callId: platform.callId,
    otherNumber: other?.value,
    otherCountry: other?.countryCode,
    answered: platform.answered,
    platformMs: result.platformMs,
    carrierMs: result.carrierMs,
    billedS: carrier.billedS,
    clockTrunk: carrier.trunkId ?? "",
    clockMs: result.carrierStartMs,
    voteMs: pair.deltaMs,
    idKeys,
    resultHash: 0n,
    arrivalMs: Math.max(platform.ingestMs, carrier.ingestMs),
  };
  row.resultHash = hash64(textOf(result, row, toleranceMs));
  return { pair, row, name: nameText({ side: PLATFORM_SIDE, recordId, recordDate }) };
}

// What hashOf in result-row.ts makes of such a result: every column in its order, then what is told
// besides. Nothing is due, open, found or a copy.
function textOf({ pair, basis }: LoneResult, row: PairRow, toleranceMs: number): string {
  const { platform, carrier } = pair;
  const record = `${row.carrierRecordDate}/${row.carrierRecordId}/${row.carrierRevision}`;
  const totalMs = platform.totalMs ?? lengthBetween(platform.inviteMs, platform.endMs);
  return (
    `1,${row.recordId},${row.recordDate},${row.revision},${row.phoneNumber ?? ""},${row.customerId ?? ""},` +
    `${row.trunkId ?? ""},${row.callId ?? ""},${row.otherNumber ?? ""},${row.otherCountry ?? ""},` +
    `${row.clockTrunk},${microsText(row.clockMs)},,,${row.idKeys.join()},` +
    `${microsText(row.startMs)},${row.callDate},${row.status},0,${row.matchedBy},0,false,,${row.direction},` +
    `${row.answered},${row.answered},${row.platformMs ?? ""},${row.carrierMs ?? ""},${row.billedS ?? ""},${row.voteMs}` +
    `|${record}||${platform.inviteMs}/${platform.answerMs}/${platform.endMs}/${totalMs},` +
    `${carrier.inviteMs}/${carrier.answerMs}/${carrier.endMs}/${lengthBetween(carrier.inviteMs, carrier.endMs)}` +
    `|undefined|undefined|undefined/undefined|0|${basis}|${toleranceMs}`
  );
}

function microsText(ms: number): string {
  return ms === 0 ? "0" : `${ms}000`;
}

function lengthBetween(fromMs: number | undefined, toMs: number | undefined): number | undefined {
  return fromMs === undefined || toMs === undefined ? undefined : Math.max(0, toMs - fromMs);
}
