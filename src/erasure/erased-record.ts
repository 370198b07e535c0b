import { reachesSubscriber } from "../domain/privacy/erasure.ts";
import { DAY, type Micros } from "../domain/time/instant.ts";
import type { StoredRecord } from "../store/privacy/erase-calls.ts";
import type { CarrierErasure } from "./carrier-run.ts";
import { eraseRecord, isInCdr } from "./messages-codec.ts";

/** A call lasts at most 30 days, and its last revision arrives within a day. */
export const LONGEST_CALL: Micros = 31n * DAY;

type Erasable = Pick<
  StoredRecord,
  "kind" | "payload" | "network" | "phoneNumber" | "callId" | "dialogCallId" | "correlationId"
>;

/** A record or copy without the number; undefined: it is not in it in that role. */
export function recordWithout<Record extends Erasable>({ scope }: CarrierErasure, record: Record) {
  const { number, role } = scope;
  const { kind, payload, network, phoneNumber, callId, dialogCallId, correlationId } = record;
  const erased = eraseRecord(kind, payload, network, scope);
  const isHolder = reachesSubscriber(role) && number.isNumber(phoneNumber);
  // A VOID has inherited values in columns only. Texts stay if the number also has another role.
  const hasId =
    [callId, dialogCallId, correlationId].some((id) => id !== undefined && number.isIn(id)) &&
    !number.isNumber(phoneNumber) &&
    !isInCdr(payload, number);
  if (!erased && !isHolder && !hasId) return undefined;
  const masked = (id: string | undefined) => (id === undefined ? undefined : number.mask(id));
  return {
    ...record,
    payload: erased?.payload ?? payload,
    network: erased?.network,
    phoneNumber: isHolder ? undefined : phoneNumber,
    callId: masked(callId),
    dialogCallId: masked(dialogCallId),
    correlationId: masked(correlationId),
    callingErased: erased?.parties.has("calling") ?? false,
    calledErased: erased?.parties.has("called") ?? false,
  };
}
