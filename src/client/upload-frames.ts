import type {
  UploadAck,
  UploadClosing,
  UploadFinished,
  UploadHeartbeat,
  UploadOpened,
  UploadRewind,
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

/** The fields of an UploadOpen. */
export function openFields(frame: ClientFrame<unknown> & { case: "open" }) {
  const { uploadId, acknowledgedOffset, validateOnly } = frame;
  return { uploadId, acknowledgedOffset, validateOnly };
}

/** The fields of an UploadFinish. */
export function finishFields(frame: ClientFrame<unknown> & { case: "finish" }) {
  const { finalOffset, connectedDurationMs } = frame;
  return { finalOffset, totals: { recordCount: finalOffset, connectedDurationMs } };
}

/** The frames of a call's answers. */
export async function* serverFrames(responses: AsyncIterable<{ frame: ServerFrame }>): AsyncGenerator<ServerFrame> {
  for await (const response of responses) yield response.frame;
}
