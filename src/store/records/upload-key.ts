import type { RecordKind } from "../../domain/record-kind.ts";

/** Names an upload. */
export interface UploadKey {
  carrierId: string;
  kind: RecordKind;
  uploadId: string;
}
