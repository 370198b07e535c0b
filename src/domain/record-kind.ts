import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import { FeedId } from "./feed-id.ts";

/** Whose records these are, as the contract and the store number the two sides. */
export const PLATFORM_SIDE = 1 as const;
export const CARRIER_SIDE = 2 as const;

/** Call detail records: the platform sends them, the carrier reads them. */
export const CDR = {
  name: "cdr",
  side: PLATFORM_SIDE,
  /** Its number in the tables of uploads and of quarantined records. */
  upload: 2,
  feed: FeedId.CDRS,
  part: RecordPart.CALL,
  records: "cdr_record",
  keys: "cdr_key",
  /** The column that says when the call began. */
  start: "invite_time",
} as const;

/** Call durations: the carrier sends them, the platform reads them. */
export const DURATION = {
  name: "duration",
  side: CARRIER_SIDE,
  upload: 1,
  feed: FeedId.DURATIONS,
  part: RecordPart.DURATION,
  records: "duration_record",
  keys: "duration_key",
  start: "start_time",
} as const;

/** What kind a record is, with all that hangs on it: whose it is and where it is stored. */
export type RecordKind = typeof CDR | typeof DURATION;

/** Both, the platform's first. */
export const RECORD_KINDS = [CDR, DURATION] as const;

/** The kind of a side's records. */
export function kindOfSide(side: number): RecordKind {
  return side === PLATFORM_SIDE ? CDR : DURATION;
}

/** The kind that the tables of uploads give this number. */
export function kindOfUpload(upload: number): RecordKind {
  return upload === CDR.upload ? CDR : DURATION;
}
