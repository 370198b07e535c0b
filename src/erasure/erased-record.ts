import { reachesSubscriber } from "../domain/privacy/erasure.ts";
import { DAY, type Micros } from "../domain/time/instant.ts";
import type { StoredRecord } from "../store/privacy/erase-calls.ts";
import type { CarrierErasure } from "./carrier-run.ts";
import { eraseCdr, eraseDuration, isInCdr } from "./messages-codec.ts";

/** A call lasts at most 30 days, and its last revision arrives within a day. */
export const LONGEST_CALL: Micros = 31n * DAY;

type ErasableCdr = Pick<
  StoredRecord,
  "payload" | "network" | "phoneNumber" | "callId" | "dialogCallId" | "correlationId"
>;

/** A platform record or copy without the number; undefined: not in it in that role. */
export function cdrWithout<Cdr extends ErasableCdr>({ scope }: CarrierErasure, record: Cdr) {
  const { number, role } = scope;
  const erased = eraseCdr(record.payload, record.network, { number, role });
  const isHolder = reachesSubscriber(role) && number.isNumber(record.phoneNumber);
  // A VOID has inherited values in columns only. Texts stay if the number also has another role.
  const ids = [record.callId, record.dialogCallId, record.correlationId];
  const hasId =
    ids.some((id) => id !== undefined && number.isIn(id)) &&
    !number.isNumber(record.phoneNumber) &&
    !isInCdr(record.payload, number);
  if (!erased && !isHolder && !hasId) return undefined;
  const masked = (id: string | undefined) => (id === undefined ? undefined : number.mask(id));
  return {
    ...record,
    payload: erased?.payload ?? record.payload,
    network: erased?.network,
    phoneNumber: isHolder ? undefined : record.phoneNumber,
    callId: masked(record.callId),
    dialogCallId: masked(record.dialogCallId),
    correlationId: masked(record.correlationId),
    callingErased: erased?.parties.has("calling") ?? false,
    calledErased: erased?.parties.has("called") ?? false,
  };
}

/** The same for a carrier's record. */
export function durationWithout<Duration extends Pick<StoredRecord, "payload" | "phoneNumber">>(
  { scope }: CarrierErasure,
  record: Duration,
): Duration | undefined {
  const erased = eraseDuration(record.payload, scope);
  const isHolder = reachesSubscriber(scope.role) && scope.number.isNumber(record.phoneNumber);
  if (!erased && !isHolder) return undefined;
  return {
    ...record,
    payload: erased?.payload ?? record.payload,
    phoneNumber: isHolder ? undefined : record.phoneNumber,
  };
}
