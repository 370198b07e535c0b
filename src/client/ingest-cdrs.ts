import type { Client } from "@connectrpc/connect";
import type { CdrService } from "../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import type { CallDetailRecord } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { type UploadOptions, type UploadResult, uploadRecords } from "./upload.ts";
import { type ClientFrame, serverFrames } from "./upload-frames.ts";

/** The options of `ingestCdrs`. */
export interface IngestCdrsOptions extends UploadOptions<CallDetailRecord> {
  /** Whose records these are: one upload, one carrier. */
  readonly carrierId: string;
}

/**
 * Uploads the platform's call detail records of one carrier to the end of their source, whatever is
 * cut on the way; see `uploadRecords` for what it throws. The control totals count
 * `lengths.connected_duration_ms`.
 *
 * @example await ingestCdrs(createClient(CdrService, transport), { carrierId: "northern-telecom",
 *   uploadId: "northern-telecom:2026-03-01T10:05", source: arraySource(records), });
 */
export function ingestCdrs(client: Client<typeof CdrService>, options: IngestCdrsOptions): Promise<UploadResult> {
  return uploadRecords(
    {
      open: (frames, signal) => serverFrames(client.ingestCdrs(requests(options.carrierId, frames), { signal })),
      connectedDurationMsOf: (record) => record.lengths?.connectedDurationMs ?? 0n,
    },
    options,
  );
}

async function* requests(carrierId: string, frames: AsyncIterable<ClientFrame<CallDetailRecord>>) {
  for await (const frame of frames)
    yield { frame: frame.case === "open" ? { case: frame.case, value: { carrierId, open: frame.value } } : frame };
}
