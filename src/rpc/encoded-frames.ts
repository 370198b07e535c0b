import { type DescMessage, type DescMethodBiDiStreaming, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Empty, EmptySchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter, MethodImpl } from "@connectrpc/connect";
import {
  type UploadDurationsRequest,
  UploadDurationsRequestSchema,
} from "../gen/tandem/carrier/v1/duration_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import { decodeDuration } from "../upload/duration-decoder.ts";
import { type EncodedBatch, malformed, splitBatch } from "../upload/encoded-records.ts";
import { KEEP_UNKNOWN_FIELDS } from "./unknown-fields.ts";

/** A method as it is registered to take its requests undecoded: as messages whose every field is unknown. */
export type EncodedMethod<O extends DescMessage> = DescMethodBiDiStreaming<typeof EmptySchema, O>;

/**
 * Lets a method that is registered already take binary requests undecoded. For JSON the ordinary implementation stays. Service, name and path are the
 * same, so that access, metrics and reflection see one method.
 */
export function registerEncoded<I extends DescMessage, O extends DescMessage>(
  router: ConnectRouter,
  method: DescMethodBiDiStreaming<I, O>,
  implementation: MethodImpl<EncodedMethod<O>>,
): void {
  const ordinary = router.handlers.find((handler) => handler.method === method);
  router.rpc<EncodedMethod<O>>({ ...method, input: EmptySchema }, implementation, KEEP_UNKNOWN_FIELDS);
  const encoded = router.handlers.pop();
  if (!ordinary || !encoded) throw new Error(`${method.name} is not registered`);
  const { service, requestPath, supportedContentType, protocolNames, allowedMethods } = ordinary;
  const handle: typeof encoded = Object.assign(
    (request: Parameters<typeof encoded>[0]) =>
      JSON_TYPE.test(request.header.get("content-type") ?? "") ? ordinary(request) : encoded(request),
    { service, method, requestPath, supportedContentType, protocolNames, allowedMethods },
  );
  router.handlers[router.handlers.indexOf(ordinary)] = handle;
}

const JSON_TYPE = /[/+]json\b/i;

/** A frame of UploadDurations; the records of a batch are read when they are asked for. */
export interface EncodedDurationFrame {
  frame:
    | Exclude<UploadDurationsRequest["frame"], { case: "batch" }>
    | { case: "batch"; value: EncodedBatch<CallDuration> };
}

/** Reads the frames of an upload of durations. Throws INVALID_ARGUMENT for what is none. */
export function decodeDurationFrames(requests: AsyncIterable<Empty>): AsyncIterable<EncodedDurationFrame> {
  return {
    // By hand, not as a generator: the inner iterator's return must be called at once, even while its next is pending.
    [Symbol.asyncIterator]() {
      const inner = requests[Symbol.asyncIterator]();
      return {
        async next() {
          const next = await inner.next();
          return next.done ? next : { done: false, value: decodeDurationFrame(next.value) };
        },
        async return(value) {
          await inner.return?.();
          return { done: true, value };
        },
      };
    },
  };
}

const BATCH = 2;
const LENGTH_DELIMITED = 2;

/** A batch in its ordinary form is split; every other frame is for protobuf-es. */
export function decodeDurationFrame(request: Empty): EncodedDurationFrame {
  const [field, ...others] = request.$unknown ?? [];
  if (field?.no === BATCH && field.wireType === LENGTH_DELIMITED && others.length === 0) {
    const batch = splitBatch(CallDurationSchema, decodeDuration, withoutLength(field.data));
    if (batch) return { frame: { case: "batch", value: batch } };
  }
  try {
    return fromBinary(UploadDurationsRequestSchema, toBinary(EmptySchema, request));
  } catch (cause) {
    throw malformed("the message", cause);
  }
}

// An unknown field is kept with its length before it, which was checked when it was read.
function withoutLength(data: Uint8Array): Buffer {
  let start = 0;
  while ((data[start] ?? 0) > 0x7f) start++;
  return Buffer.from(data.buffer, data.byteOffset + start + 1, data.byteLength - start - 1);
}
