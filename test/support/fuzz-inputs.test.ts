import type { DescMethod } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { type FuzzInput, inputsOf, protocolOf } from "./fuzz-inputs.ts";
import { KnownValues } from "./fuzz-values.ts";

const DEADLINES = { grpc: "grpc-timeout", "grpc-web": "grpc-timeout", "connect-stream": "connect-timeout-ms" } as const;

test.each<[string, DescMethod]>([
  ["health's Watch", Health.method.watch],
  ["a feed", CdrService.method.streamCdrs],
  ["an upload", DurationService.method.uploadDurations],
])("no input of %s waits for ever: it leaves, or has a deadline that the server takes for one", (_, method) => {
  const inputs = fc.sample(inputsOf(method, new KnownValues([])), { numRuns: 5_000, seed: 1 });
  const endless = inputs.filter((input) => !input.leaves && !input.breaksOff && !hasDeadline(input));
  expect(endless.map(({ protocol, headers }) => ({ protocol, headers })).slice(0, 3)).toEqual([]);
});

/** What the server takes for no stream at all needs none. */
function hasDeadline({ headers }: FuzzInput): boolean {
  const spoken = protocolOf(headers["content-type"] ?? "");
  return spoken === undefined || headers[DEADLINES[spoken]] !== undefined;
}
