import type { DescMessage, DescMethodBiDiStreaming, DescMethodUnary } from "@bufbuild/protobuf";
import { type Empty, EmptySchema } from "@bufbuild/protobuf/wkt";
import { type ConnectRouter, createContextKey, type HandlerContext, type MethodImpl } from "@connectrpc/connect";
import { readEach } from "../shared/message-steps.ts";
import type { SplitRequest } from "./split-binary.ts";
import { DROP_UNKNOWN_FIELDS } from "./unknown-fields.ts";

/** A message of a request as it came: whole, inflated and counted, but not decoded. */
export interface RawMessage {
  readonly bytes: Uint8Array;
  readonly isJson: boolean;
  /** For JSON: how it was taken apart when it was counted. */
  readonly split?: SplitRequest | undefined;
}

/**
 * The messages of a call whose method takes them undecoded, in order. The guard puts them here, and
 * gives Connect an empty message in place of each: Connect decodes a message whole or not at all,
 * so that one bad record would refuse all that came with it.
 */
export const rawMessagesKey = createContextKey<RawMessage[]>([], { description: "raw messages" });

/**
 * Lets a registered method of records take its requests undecoded. Service, name and path stay, so
 * that everything else sees one method.
 */
export function registerRaw<I extends DescMessage, O extends DescMessage>(
  router: ConnectRouter,
  method: DescMethodBiDiStreaming<I, O>,
  implementation: (
    messages: AsyncIterable<RawMessage>,
    context: HandlerContext,
  ) => ReturnType<MethodImpl<DescMethodBiDiStreaming<typeof EmptySchema, O>>>,
): void {
  const raw = { ...method, input: EmptySchema };
  replaceHandler(router, method, () =>
    router.rpc<DescMethodBiDiStreaming<typeof EmptySchema, O>>(
      raw,
      ((empty: AsyncIterable<Empty>, context: HandlerContext) =>
        implementation(
          readEach(empty, () => nextRaw(context)),
          context,
        )) as never,
      DROP_UNKNOWN_FIELDS,
    ),
  );
}

/** As `registerRaw`, for a method whose request is one message. */
export function registerRawUnary<I extends DescMessage, O extends DescMessage>(
  router: ConnectRouter,
  method: DescMethodUnary<I, O>,
  implementation: (
    message: RawMessage,
    context: HandlerContext,
  ) => ReturnType<MethodImpl<DescMethodUnary<typeof EmptySchema, O>>>,
): void {
  const raw = { ...method, input: EmptySchema };
  replaceHandler(router, method, () =>
    router.rpc<DescMethodUnary<typeof EmptySchema, O>>(
      raw,
      ((_: Empty, context: HandlerContext) => implementation(nextRaw(context), context)) as never,
      DROP_UNKNOWN_FIELDS,
    ),
  );
}

function replaceHandler(router: ConnectRouter, method: { readonly name: string }, register: () => void): void {
  const at = router.handlers.findIndex((handler) => handler.method === method);
  const ordinary = router.handlers[at];
  register();
  const raw = router.handlers.pop();
  if (!ordinary || !raw) throw new Error(`${method.name} is not registered`);
  const { service, requestPath, supportedContentType, protocolNames, allowedMethods } = ordinary;
  router.handlers[at] = Object.assign((request: Parameters<typeof raw>[0]) => raw(request), {
    service,
    method: ordinary.method,
    requestPath,
    supportedContentType,
    protocolNames,
    allowedMethods,
  });
}

function nextRaw(context: HandlerContext): RawMessage {
  const message = context.values.get(rawMessagesKey).shift();
  if (!message) throw new Error("a message came past the guard");
  return message;
}
