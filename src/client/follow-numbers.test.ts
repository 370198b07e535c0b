import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { startScriptedServer } from "../../test/support/scripted-server.ts";
import { NumberService, type WatchNumbersResponseSchema } from "../gen/tandem/carrier/v1/number_service_pb.js";
import { FeedClosingReason } from "../gen/tandem/type/v1/feed_pb.js";
import { memoryCursorStore } from "./cursor-store.ts";
import { followNumbers, type NumberRun } from "./follow-numbers.ts";
import { createTandemTransport } from "./transport.ts";

type Frame = Extract<MessageInitShape<typeof WatchNumbersResponseSchema>, { $typeName?: never }>;

describe("followNumbers", () => {
  it("goes on with the snapshot where it was cut, then takes the changes", async () => {
    const asked: unknown[] = [];
    const at = (through: bigint, cursor: string, after = through) => ({
      afterSequence: after,
      throughSequence: through,
      cursor,
    });
    await using server = await startScriptedServer((router) => {
      router.service(NumberService, {
        async *watchNumbers(request): AsyncGenerator<Frame> {
          const cursor = request.start?.position.case === "cursor" ? request.start.position.value : undefined;
          asked.push([request.initialState, cursor]);
          yield { ...at(5n, cursor ?? "5:"), frame: { case: "opened", value: { feedEpoch: 1n } } };
          if (cursor === undefined) {
            // Ends without Closing: a cut that hides nothing that was sent.
            yield {
              ...at(5n, "5:b"),
              frame: { case: "snapshot", value: { numbers: [{ phoneNumber: "+1" }, { phoneNumber: "+2" }] } },
            };
            return;
          }
          yield { ...at(5n, "5:c"), frame: { case: "snapshot", value: { numbers: [{ phoneNumber: "+3" }] } } };
          yield { ...at(5n, "5"), frame: { case: "synced", value: { numberCount: 3n } } };
          const change = { change: { case: "phoneNumber" as const, value: { phoneNumber: "+3", revision: 6n } } };
          yield { ...at(6n, "6", 5n), frame: { case: "batch", value: { changes: [change] } } };
          yield { ...at(6n, "6"), frame: { case: "closing", value: { reason: FeedClosingReason.END_REACHED } } };
        },
      });
    });
    using transport = createTandemTransport({ baseUrl: server.baseUrl });
    const runs: NumberRun[] = [];
    const result = await followNumbers(createClient(NumberService, transport), {
      start: "initialState",
      store: memoryCursorStore(),
      retry: { initialDelayMs: 1, maxDelayMs: 5, maxAttempts: 5 },
      apply: async (run) => {
        runs.push(run);
      },
    });
    expect(asked).toEqual([
      [true, undefined],
      [false, "5:b"],
    ]);
    expect(runs.map(({ kind }) => kind)).toEqual(["SNAPSHOT", "SNAPSHOT", "SYNCED", "CHANGES"]);
    expect(result).toMatchObject({ endReached: true, resumes: 1, position: { sequence: 6n } });
  });
});
