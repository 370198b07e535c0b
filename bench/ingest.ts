import { create } from "@bufbuild/protobuf";
import type { App } from "../src/app.ts";
import { CallDetailRecordSchema } from "../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { cdrCodec } from "../src/upload/records/record-codecs.ts";
import { benchCdr } from "./records.ts";

const BATCH_RECORDS = 2_000;
const HORIZONS = { firstDays: 120, laterDays: 400 };

/** Puts call detail records into a carrier's feed; every one must be accepted. */
export async function ingestCdrs(app: App, carrierId: string, count: number): Promise<void> {
  const upload = cdrUpload(app, carrierId, "stored");
  for (let first = 0; first < count; first += BATCH_RECORDS)
    await upload.append(Math.min(BATCH_RECORDS, count - first));
}

/**
 * An upload of call detail records in this process: the engine's own path, without a client.
 * @param calling the number of every call. Default: those of a benchmark's carrier in turn.
 */
export function cdrUpload(app: App, carrierId: string, uploadId: string, calling?: string) {
  const target = { carrierId, codec: cdrCodec, horizons: HORIZONS, validateOnly: false };
  const nowMs = Date.now();
  let offset = 0;
  return {
    /** Appends so many more records, in one commit. */
    async append(count: number): Promise<void> {
      const messages = Array.from({ length: count }, (_, index) =>
        create(CallDetailRecordSchema, benchCdr(uploadId, offset + index, nowMs, calling)),
      );
      const records = { firstOffset: BigInt(offset), messages };
      const { counts } = await app.services.uploads.append(
        target,
        { uploadId, acknowledgedOffset: BigInt(offset) },
        records,
        undefined,
      );
      if (counts.accepted !== count) throw new Error(`${counts.accepted} of ${count} records were accepted`);
      offset += count;
    },
  };
}
