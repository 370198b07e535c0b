import type { Histogram, Meter } from "@opentelemetry/api";
import { createHistogram } from "../telemetry/instruments.ts";

/** What is measured of commits. Labels: kind, of the records. */
export interface CommitMetrics {
  /** How long a transaction took, with its wait for a connection, seconds. */
  readonly duration: Histogram;
  /** How many records shared it. */
  readonly records: Histogram;
  readonly batchRecords: Histogram;
}

export function createCommitMetrics(meter: Meter): CommitMetrics {
  return {
    duration: createHistogram(meter, "tandem_commit_duration_seconds"),
    records: createHistogram(meter, "tandem_commit_records"),
    batchRecords: createHistogram(meter, "tandem_upload_batch_records"),
  };
}
