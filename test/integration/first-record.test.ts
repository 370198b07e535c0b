import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { type CdrFeedEntry, CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import {
  type IngestCdrsRequestSchema,
  type IngestCdrsResponse,
  CdrService as PlatformCdrService,
} from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { startExchange } from "../support/exchange.ts";

test("a record that the platform ingests reaches the carrier's feed, and a duration comes back", async () => {
  await using exchange = await startExchange();
  await exchange.addCarrier("alpha");
  await exchange.assignNumbers("alpha", ["+441632960001"]);
  const platform = await exchange.platformClient(PlatformCdrService);
  const invite = Date.now() - 3_600_000;
  const day = new Date(invite).toISOString().slice(0, 10);

  async function* frames(): AsyncGenerator<MessageInitShape<typeof IngestCdrsRequestSchema>> {
    yield { frame: { case: "open", value: { carrierId: "alpha", open: { uploadId: "u1" } } } };
    yield {
      frame: {
        case: "batch",
        value: {
          firstOffset: 0n,
          records: [
            {
              recordId: "r1",
              recordDate: day,
              callId: "c1",
              direction: 1,
              parties: { calling: { kind: 1, value: "+441632960001" }, called: { kind: 1, value: "+12025550123" } },
              times: {
                inviteTime: timestampFromMs(invite),
                answerTime: timestampFromMs(invite + 5_000),
                endTime: timestampFromMs(invite + 65_000),
              },
              outcome: { finalSipCode: 200, q850Cause: 16 },
              streamQualities: [{ direction: 1, edge: 1, jitterAvgMs: 45 }],
            },
          ],
        },
      },
    };
    yield {
      frame: { case: "finish", value: { finalOffset: 1n, totals: { recordCount: 1n, connectedDurationMs: 0n } } },
    };
  }
  const answers: IngestCdrsResponse["frame"][] = [];
  for await (const answer of platform.ingestCdrs(frames())) answers.push(answer.frame);
  expect(answers.map((frame) => frame.case)).toEqual(["opened", "ack", "finished"]);

  const carrier = await exchange.carrierClient(CdrService, "alpha");
  const entries: CdrFeedEntry[] = [];
  for await (const message of carrier.streamCdrs({
    start: { position: { case: "earliest", value: {} } },
    end: { position: { case: "head", value: {} } },
  })) {
    if (message.frame.case === "batch") entries.push(...message.frame.value.entries);
  }
  expect(entries).toHaveLength(1);
  const [entry] = entries;
  expect(entry?.entry.case).toBe("record");
  expect(entry?.entry.value).toMatchObject({
    recordId: "r1",
    sequence: 1n,
    carrierId: "alpha",
    attribution: { phoneNumber: "+441632960001", customerId: "customer-1", basis: 3 },
    lengths: { connectedDurationMs: 60_000n, totalDurationMs: 65_000n },
    qualityVerdict: 2,
  });

  const durations = await exchange.carrierClient(DurationService, "alpha");
  const appended = await durations.appendDurations({
    uploadId: "d1",
    firstOffset: 0n,
    records: [
      {
        recordId: "x1",
        recordDate: day,
        direction: 1,
        answered: true,
        calling: { kind: 1, value: "+441632960001" },
        called: { kind: 1, value: "+12025550123" },
        inviteTime: timestampFromMs(invite),
        connectedDurationMs: 60_000n,
      },
      { recordId: "x2", recordDate: day },
    ],
    finish: { finalOffset: 2n, totals: { recordCount: 2n, connectedDurationMs: 60_000n } },
  });
  expect(appended).toMatchObject({ committedOffset: 2n, counts: { accepted: 1n, rejected: 1n } });
  expect(appended.receipt?.finalOffset).toBe(2n);
});
