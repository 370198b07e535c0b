import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type Line, openLine } from "../../src/cli/demo/line.ts";
import { planReconciliation } from "../../src/cli/demo/plan.ts";
import { GRACE_BEYOND_MS, reconcileOneMore } from "../../src/cli/demo/reconciliation.ts";
import { judgeReconciliation, readFindings } from "../../src/cli/demo/reconciliation-verdict.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";

test("the demo finds what it planted, and nothing else, also where one side is much slower than the other", async () => {
  await using exchange = await startExchange({ reconcileIntervalMs: 50 });
  const plan = planReconciliation([], Date.now());
  const { carrierId } = plan.carrier;
  const { signal } = new AbortController();
  using platform = openLine(exchange.url, await exchange.platformToken(), signal);
  using line = openLine(exchange.url, await exchange.carrierToken(carrierId), signal);
  const carrier = slowFirstUpload(line, () => untilRecordsAreOld(exchange, carrierId, plan.cdrs.atOnce.length));
  const uploads = await reconcileOneMore({ platform, carrier, plan });
  const findings = await readFindings(platform, plan);
  const { wrong, refused, planted, found } = judgeReconciliation({ plan, uploads, findings });
  expect({ wrong: wrong.slice(0, 5), refused, found }).toEqual({ wrong: [], refused: [], found: planted });
  // Some two thousand calls are judged, and judged again: whole minutes on a machine that is busy.
});

/** A line over which the first upload of durations begins only after something else. */
function slowFirstUpload(line: Line, before: () => Promise<void>): Line {
  let held: Promise<void> | undefined;
  const slow = (client: Client<typeof DurationService>): Client<typeof DurationService> => ({
    ...client,
    async *uploadDurations(request, options) {
      held ??= before();
      await held;
      yield* client.uploadDurations(request, options);
    },
  });
  return {
    ...line,
    client: <S extends DescService>(service: S) => {
      const client = line.client(service);
      return service.typeName === DurationService.typeName
        ? (slow(client as unknown as Client<typeof DurationService>) as unknown as Client<S>)
        : client;
    },
  };
}

/**
 * Until the platform's records are there, and older than any grace that is agreed on beforehand, by
 * the server's clock.
 */
async function untilRecordsAreOld(exchange: Exchange, carrierId: string, count: number): Promise<void> {
  const isOld = async () => {
    const { rows } = await exchange.services.db.pool.query<{ old: boolean }>(
      `SELECT count(*) = $2 AND max(ingest_time) < clock_timestamp() - make_interval(secs => $3) AS old
       FROM cdr_record WHERE carrier_id = $1`,
      [carrierId, count, (2 * GRACE_BEYOND_MS) / 1_000],
    );
    return rows[0]?.old === true;
  };
  await expect.poll(isOld).toBe(true);
}
