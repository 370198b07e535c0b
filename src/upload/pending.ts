import type { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import type { RejectRow } from "../store/records/rejects.ts";
import type { RecordCodec } from "./record-codec.ts";
import type { PreparedRecord } from "./records/prepared.ts";

/** The result of committing one batch: verdicts by record, or that the upload had moved on. */
export type AppendResult = { committed: true; verdicts: Verdict[]; issues: number[] } | { committed: false };

/** A batch that has been read and checked, and waits for its commit. */
export interface PreparedBatch {
  uploadId: string;
  writerEpoch: bigint;
  firstOffset: bigint;
  records: readonly PreparedRecord<unknown>[];
  codec: Pick<RecordCodec<never>, "row" | "encode">;
  describe: (index: number, verdict: number, issue: number) => RejectRow;
}

/** A batch as it was received. Its records are checked only when it is used. */
export interface SentBatch {
  readonly firstOffset: bigint;
  readonly count: number;
  readonly receivedBytes: number;
  readonly prepare: () => PreparedBatch;
}
