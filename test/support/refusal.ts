import { ConnectError } from "@connectrpc/connect";
import { expect } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";

/** The reason with which a call fails, or `OK`. Every failure must carry exactly one ErrorInfo. */
export async function reasonOf(call: Promise<unknown> | AsyncIterable<unknown>): Promise<string> {
  const error = await refusalOf(call);
  return error ? reasonOfError(error) : "OK";
}

/** The error with which a call fails; undefined if it does not. */
export async function refusalOf(call: Promise<unknown> | AsyncIterable<unknown>): Promise<ConnectError | undefined> {
  try {
    if (Symbol.asyncIterator in call) await Array.fromAsync(call);
    else await call;
    return undefined;
  } catch (error) {
    return ConnectError.from(error);
  }
}

/** The reason in an error's one ErrorInfo. */
export function reasonOfError(error: ConnectError): string {
  const infos = error.findDetails(ErrorInfoSchema);
  expect(infos, error.message).toHaveLength(1);
  return infos[0]?.reason ?? "";
}
