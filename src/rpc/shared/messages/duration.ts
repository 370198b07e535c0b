import { create, fromBinary } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { timestampFromMicros } from "../../../domain/time/instant.ts";
import { CallDurationSchema, DurationState } from "../../../gen/tandem/type/v1/call_duration_pb.js";
import type { StoredDuration } from "../../../store/records/durations.ts";

/** A stored duration as a message. */
export function durationMessage(stored: StoredDuration) {
  const message = fromBinary(CallDurationSchema, stored.payload);
  if (stored.sequence !== undefined) message.sequence = stored.sequence;
  if (stored.customerId !== undefined) message.customerId = stored.customerId;
  message.state = stored.quarantined ? DurationState.QUARANTINED : DurationState.APPLIED;
  message.ingestTime = create(TimestampSchema, timestampFromMicros(stored.ingestTime));
  return message;
}
