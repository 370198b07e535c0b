import type { DescMethod } from "@bufbuild/protobuf";
import type { PortRequest, PortResponse } from "./port.ts";

/**
 * Sets what every answer to a GET has, refusals too: a cache that keeps it would give one caller's
 * answer to the next one.
 */
export function forbidCaching({ method }: PortRequest, response: PortResponse): void {
  if (method !== "GET" && method !== "HEAD") return;
  response.setHeader("cache-control", "private, no-store");
  addVary(response, "Authorization");
}

/**
 * Sets what the answer of a stream has. A proxy that buffers, as nginx does by default, would give
 * nothing of it until it ends.
 */
export function forbidBuffering({ methodKind }: DescMethod, response: PortResponse): void {
  if (methodKind !== "unary") response.setHeader("x-accel-buffering", "no");
}

/** Adds a header that the answer depends on. */
export function addVary(response: PortResponse, header: string): void {
  const given = response.getHeader("vary");
  response.setHeader("vary", given === undefined ? header : `${String(given)}, ${header}`);
}
