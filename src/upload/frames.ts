import type { VerdictCounts } from "../domain/calls/verdict.ts";
import type { StreamEnd } from "../domain/stream-life.ts";
import type { Micros } from "../domain/time/instant.ts";
import type { UploadRow } from "../store/records/uploads.ts";
import type { Outcome } from "./outcome.ts";
import type { RecordList } from "./records/record-list.ts";

/** A frame from the client, after Open. */
export type ClientFrame<Message> =
  | { frame: "batch"; firstOffset: bigint; records: RecordList<Message> }
  | { frame: "keepAlive" }
  | { frame: "finish"; finalOffset: bigint; recordCount: bigint; connectedDurationMs: bigint };

/**
 * Why an upload stream ends unfinished: for the reasons of any stream, or because its client ended
 * its side without Finish.
 */
export type UploadEnd = StreamEnd | "NOT_FINISHED";

/** A frame to the client. */
export type ServerFrame =
  | {
      frame: "opened";
      committedOffset: bigint;
      writerEpoch: bigint;
      sendLimitOffset: bigint;
      lostSince: Micros | undefined;
    }
  | { frame: "ack"; committedOffset: bigint; counts: VerdictCounts; outcomes: Outcome[]; sendLimitOffset: bigint }
  | { frame: "rewind"; expectedOffset: bigint; reason: "GAP" | "STORE_UNAVAILABLE"; retryAfterMs: number | undefined }
  | { frame: "heartbeat"; committedOffset: bigint }
  | { frame: "closing"; reason: UploadEnd }
  | { frame: "finished"; upload: UploadRow };
