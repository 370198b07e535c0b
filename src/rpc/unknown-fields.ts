import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectRouter, MethodImpl } from "@connectrpc/connect";
import { MAX_DEPTH } from "./count-elements.ts";

/** Fields that the contract does not have are passed over: kept, each would be an object. */
export const DROP_UNKNOWN_FIELDS = {
  binaryOptions: { readUnknownFields: false, recursionLimit: MAX_DEPTH },
  jsonOptions: { recursionLimit: MAX_DEPTH },
} as const;

export const KEEP_UNKNOWN_FIELDS = {
  binaryOptions: { readUnknownFields: true, recursionLimit: MAX_DEPTH },
} as const;

/**
 * Lets a method that is registered already keep the fields that it does not know until its records are judged: for methods whose verdicts name
 * them (RECORD_ISSUE_UNKNOWN_FIELDS). How many there may be was counted before, and no record keeps them.
 */
export function keepUnknownFields<M extends DescMethod>(
  router: ConnectRouter,
  method: M,
  implementation: MethodImpl<M>,
): void {
  const at = router.handlers.findIndex((handler) => handler.method === method);
  router.rpc(method, implementation, KEEP_UNKNOWN_FIELDS);
  const keeping = router.handlers.pop();
  if (at < 0 || !keeping) throw new Error(`${method.name} is not registered`);
  router.handlers[at] = keeping;
}
