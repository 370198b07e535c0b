import { type RawBuilder, sql } from "kysely";
import type { RecordKind } from "../../domain/record-kind.ts";

/** Names an upload. */
export interface UploadKey {
  carrierId: string;
  kind: RecordKind;
  uploadId: string;
}

/** The condition that a row is an upload's. */
export function isUpload({ carrierId, kind, uploadId }: UploadKey): RawBuilder<boolean> {
  return sql<boolean>`carrier_id = ${carrierId} AND kind = ${kind.upload} AND upload_id = ${uploadId}`;
}
