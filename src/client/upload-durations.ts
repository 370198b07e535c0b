import type { Client } from "@connectrpc/connect";
import type { DurationService } from "../gen/tandem/carrier/v1/duration_service_pb.js";
import type { CallDuration } from "../gen/tandem/type/v1/call_duration_pb.js";
import { withListedOutcomes } from "./listed-outcomes.ts";
import { type UploadOptions, type UploadResult, uploadRecords } from "./upload.ts";
import { type ClientFrame, serverFrames } from "./upload-frames.ts";

/**
 * Uploads call durations to the end of their source, whatever is cut on the way; see
 * `uploadRecords` for what it throws.
 *
 * @example const { receipt, outcomes } = await uploadDurations(createClient(DurationService,
 *   transport), { uploadId: "durations-2026-03-01T10:05", source: arraySource(records), }); for
 *   (const { recordId, verdict, message } of outcomes) log.warn({ recordId, verdict, message });
 */
export async function uploadDurations(
  client: Client<typeof DurationService>,
  options: UploadOptions<CallDuration>,
): Promise<UploadResult> {
  const result = await uploadRecords(
    {
      open: (frames, signal) => serverFrames(client.uploadDurations(requests(frames), { signal })),
      connectedDurationMsOf: (record) => record.connectedDurationMs ?? 0n,
    },
    options,
  );
  return options.validateOnly || options.replayLostOutcomes === false
    ? result
    : withListedOutcomes(client, result, options);
}

async function* requests(frames: AsyncIterable<ClientFrame<CallDuration>>) {
  for await (const frame of frames) yield { frame };
}
