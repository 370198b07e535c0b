import type { Client } from "@connectrpc/connect";
import type { DurationService } from "../gen/tandem/carrier/v1/duration_service_pb.js";
import { type RecordOutcome, Verdict, type VerdictCounts } from "../gen/tandem/type/v1/upload_pb.js";
import type { UploadOptions, UploadResult } from "./upload.ts";

const PAGE_SIZE = 1_000;

/**
 * Completes the outcomes of a finished upload from the server's list, when the receipt counts more
 * than were told: an upload that was sealed before it was opened, or whose last Acks were lost,
 * takes no replay.
 */
export async function withListedOutcomes(
  client: Client<typeof DurationService>,
  result: UploadResult,
  { signal, maxOutcomes = 100_000 }: Pick<UploadOptions<unknown>, "signal" | "maxOutcomes">,
): Promise<UploadResult> {
  const { receipt, outcomes, droppedOutcomeCount } = result;
  const told = outcomes.filter(({ verdict }) => verdict !== Verdict.ACCEPTED).length;
  if (droppedOutcomeCount > 0 || told >= notAccepted(receipt.counts)) return result;
  const byOffset = new Map<bigint, RecordOutcome>(outcomes.map((outcome) => [outcome.recordOffset, outcome]));
  let pageToken = "";
  do {
    const request = { uploadId: receipt.uploadId, pageSize: PAGE_SIZE, pageToken };
    const page = await client.listRejects(request, signal ? { signal } : {});
    for (const { outcome } of page.rejects)
      if (outcome && !byOffset.has(outcome.recordOffset)) byOffset.set(outcome.recordOffset, outcome);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && byOffset.size < maxOutcomes);
  const all = [...byOffset.values()].sort((a, b) => (a.recordOffset < b.recordOffset ? -1 : 1));
  return {
    ...result,
    outcomes: all.slice(0, maxOutcomes),
    droppedOutcomeCount: Math.max(0, notAccepted(receipt.counts) - all.length, all.length - maxOutcomes),
  };
}

function notAccepted(counts: VerdictCounts | undefined): number {
  const { duplicate = 0n, conflict = 0n, superseded = 0n, rejected = 0n, quarantined = 0n } = counts ?? {};
  return Number(duplicate + conflict + superseded + rejected + quarantined);
}
