import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import type { Arriving } from "../../src/simulator/reconciliation/played-call.ts";

interface Revision {
  readonly recordId: string;
  readonly revision?: number | undefined;
  readonly kind: RecordKind;
}

/** The last revision of a record that reports a call. */
export function newestReport<T extends Revision>(arriving: readonly Arriving<T>[], recordId: string): T | undefined {
  const own = arriving
    .map(({ record }) => record)
    .filter((record) => record.recordId === recordId && record.kind !== RecordKind.VOID);
  return own.sort((a, b) => (b.revision ?? 1) - (a.revision ?? 1))[0];
}
