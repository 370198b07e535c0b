import type { DescMessage, JsonValue } from "@bufbuild/protobuf";
import { invalidArgument } from "../../domain/errors.ts";
import { findJsonFault } from "./json-faults.ts";

/**
 * Refuses a JSON request with names that the contract does not have. Connect would ignore them, as
 * it ignores the fields of a newer contract in binary; but names are written by people, and a
 * misspelt one would be lost without notice.
 * @throws TandemError INVALID_ARGUMENT
 */
export function checkJsonRequest(input: DescMessage, bytes: Uint8Array): void {
  const fault = findJsonFault(input, parse(bytes));
  if (fault) throw invalidArgument(fault.fieldPath ?? "", fault.message);
}

// What is not JSON is refused where it is decoded.
function parse(bytes: Uint8Array): JsonValue {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as JsonValue;
  } catch {
    return null;
  }
}
