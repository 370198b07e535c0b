import { create } from "@bufbuild/protobuf";
import {
  type UploadAck,
  type UploadClosing,
  type UploadFinished,
  type UploadHeartbeat,
  UploadKeepAliveSchema,
  type UploadOpened,
  type UploadRewind,
} from "../gen/tandem/type/v1/upload_pb.js";

/** A frame to the server, of either upload method. */
export type ClientFrame<Rec> =
  | {
      readonly case: "open";
      readonly uploadId: string;
      readonly acknowledgedOffset: bigint;
      readonly validateOnly: boolean;
    }
  | { readonly case: "batch"; readonly firstOffset: bigint; readonly records: readonly Rec[] }
  | { readonly case: "keepAlive" }
  | { readonly case: "finish"; readonly finalOffset: bigint; readonly connectedDurationMs: bigint };

/** A frame from the server, of either upload method. */
export type ServerFrame =
  | { readonly case: "opened"; readonly value: UploadOpened }
  | { readonly case: "ack"; readonly value: UploadAck }
  | { readonly case: "rewind"; readonly value: UploadRewind }
  | { readonly case: "heartbeat"; readonly value: UploadHeartbeat }
  | { readonly case: "closing"; readonly value: UploadClosing }
  | { readonly case: "finished"; readonly value: UploadFinished }
  | { readonly case: undefined; readonly value?: undefined };

/** One upload method: how to call it, and what its records count in the control totals. */
export interface UploadChannel<Rec> {
  readonly open: (frames: AsyncIterable<ClientFrame<Rec>>, signal: AbortSignal) => AsyncIterable<ServerFrame>;
  readonly connectedDurationMsOf: (record: Rec) => bigint;
}

/** A frame as either request has it. Of an IngestCdrs the Open names the carrier besides. */
export function requestFrame<Rec>(frame: ClientFrame<Rec>) {
  switch (frame.case) {
    case "open":
      return { case: "open" as const, value: openFields(frame) };
    case "batch":
      return { case: "batch" as const, value: { firstOffset: frame.firstOffset, records: [...frame.records] } };
    case "keepAlive":
      return { case: "keepAlive" as const, value: create(UploadKeepAliveSchema) };
    case "finish":
      return { case: "finish" as const, value: finishFields(frame) };
    default:
      throw new Error(`unknown frame ${frame satisfies never}`);
  }
}

function openFields(frame: ClientFrame<unknown> & { case: "open" }) {
  const { uploadId, acknowledgedOffset, validateOnly } = frame;
  return { uploadId, acknowledgedOffset, validateOnly };
}

function finishFields(frame: ClientFrame<unknown> & { case: "finish" }) {
  const { finalOffset, connectedDurationMs } = frame;
  return { finalOffset, totals: { recordCount: finalOffset, connectedDurationMs } };
}

/** The frames of a call's answers. */
export async function* serverFrames(responses: AsyncIterable<{ frame: ServerFrame }>): AsyncGenerator<ServerFrame> {
  for await (const response of responses) yield response.frame;
}
