import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { startScriptedServer } from "../../test/support/scripted-server.ts";
import {
  ReconciliationService,
  type WatchDiscrepanciesResponseSchema,
} from "../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { FeedClosingReason } from "../gen/tandem/type/v1/feed_pb.js";
import { memoryCursorStore } from "./cursor-store.ts";
import { followDiscrepancies } from "./follow-discrepancies.ts";
import { createTandemTransport } from "./transport.ts";

type Frame = Extract<MessageInitShape<typeof WatchDiscrepanciesResponseSchema>, { $typeName?: never }>;

const range = (after: bigint, through: bigint) => ({
  afterSequence: after,
  throughSequence: through,
  cursor: String(through),
});
const batch = (...sequences: bigint[]) => ({
  case: "batch" as const,
  value: {
    entries: sequences.map((sequence) => ({
      entry: { case: "discrepancy" as const, value: { discrepancyId: `d-${sequence}`, sequence } },
    })),
  },
});

describe("followDiscrepancies", () => {
  it("goes on after a cut from the last run that was applied, with the same filter, and hands over no empty run", async () => {
    const asked: unknown[] = [];
    await using server = await startScriptedServer((router) => {
      router.service(ReconciliationService, {
        async *watchDiscrepancies({ start, filter }): AsyncGenerator<Frame> {
          asked.push([start?.position.case, start?.position.value, filter?.statuses]);
          const from = start?.position.case === "cursor" ? BigInt(start.position.value) : 0n;
          yield { ...range(from, from), frame: { case: "opened", value: { feedEpoch: 1n } } };
          if (from === 0n) {
            yield { ...range(0n, 4n), frame: batch(2n, 4n) };
            // Ends without Closing: a cut.
            return;
          }
          yield { ...range(4n, 9n), frame: batch() };
          yield { ...range(9n, 10n), frame: batch(10n) };
          yield { ...range(10n, 10n), frame: { case: "closing", value: { reason: FeedClosingReason.END_REACHED } } };
        },
      });
    });
    using transport = createTandemTransport({ baseUrl: server.baseUrl });
    const runs: (string | undefined)[][] = [];
    const result = await followDiscrepancies(createClient(ReconciliationService, transport), {
      start: { case: "earliest", value: {} },
      end: { case: "head", value: {} },
      filter: { statuses: [4] },
      store: memoryCursorStore(),
      retry: { initialDelayMs: 1, maxDelayMs: 5, maxAttempts: 5 },
      apply: async ({ entries }) => {
        runs.push(entries.map(({ entry }) => (entry.case === "discrepancy" ? entry.value.discrepancyId : undefined)));
      },
    });
    expect(asked).toEqual([
      ["earliest", expect.anything(), [4]],
      ["cursor", "4", [4]],
    ]);
    expect(runs).toEqual([["d-2", "d-4"], ["d-10"]]);
    expect(result).toMatchObject({ endReached: true, resumes: 1, position: { sequence: 10n } });
  });
});
