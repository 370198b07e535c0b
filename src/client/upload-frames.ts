import type { MessageInitShape } from "@bufbuild/protobuf";
import type { UploadDurationsResponse } from "../gen/tandem/carrier/v1/duration_service_pb.js";
import type { UploadFinishSchema, UploadKeepAliveSchema, UploadOpenSchema } from "../gen/tandem/type/v1/upload_pb.js";

/** A frame to the server, as both uploads have it; the Open of IngestCdrs has the carrier too. */
export type ClientFrame<Rec> =
  | { readonly case: "open"; readonly value: MessageInitShape<typeof UploadOpenSchema> }
  | { readonly case: "batch"; readonly value: { readonly firstOffset: bigint; readonly records: Rec[] } }
  | { readonly case: "keepAlive"; readonly value: MessageInitShape<typeof UploadKeepAliveSchema> }
  | { readonly case: "finish"; readonly value: MessageInitShape<typeof UploadFinishSchema> };

/** A frame from the server, of either upload method. */
export type ServerFrame = UploadDurationsResponse["frame"];

/** One upload method: how to call it, and what its records count in the control totals. */
export interface UploadChannel<Rec> {
  readonly open: (frames: AsyncIterable<ClientFrame<Rec>>, signal: AbortSignal) => AsyncIterable<ServerFrame>;
  readonly connectedDurationMsOf: (record: Rec) => bigint;
}

/** The frames of a call's answers. */
export async function* serverFrames(responses: AsyncIterable<{ frame: ServerFrame }>): AsyncGenerator<ServerFrame> {
  for await (const response of responses) yield response.frame;
}
