import { randomUUID } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { TandemError } from "../../domain/errors.ts";
import { StallWatch } from "../../domain/stream-life.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import { addTotals, NO_USAGE, totalOf } from "../../domain/usage/totals.ts";
import {
  type ExportUsageRequest,
  ExportUsageResponseSchema,
  UsageExportBatchSchema,
} from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { systemTransaction } from "../../store/database/database.ts";
import { readClock, type Tx } from "../../store/database/run.ts";
import { keyColumns, readAllUsageGroups, type UsageQuery } from "../../store/usage/usage.ts";
import { withDays } from "../../store/usage/usage-periods.ts";
import { hasScope } from "../shared/access/caller.ts";
import type { Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { assertAlive, type OpenStreamLife, openStreamLife } from "../shared/stream-life.ts";
import { disclosedUsage } from "./disclosed.ts";
import { rowMessage, totalsFields } from "./message.ts";
import { readUsage } from "./read-usage.ts";
import { type ReadUsageRequest, readUsageRequest } from "./request.ts";

/** Longest period of an export, days. */
const MAX_DAYS = 400;
/** Most rows of a message. */
const BATCH_ROWS = 2_000;
/** Most rows of an export: encoded about 40 MB, held while the client reads. */
const MAX_ROWS = 250_000;
/** Longest of a statement, milliseconds: an export covers four times the days of a query. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** Exports belong to no carrier, so the limit of feed streams, 8, counts those of a process. */
const ACROSS_CARRIERS = "";

/**
 * Everything is read in one transaction and kept encoded, then sent at the client's pace, so that
 * no transaction waits for a client.
 */
export async function* exportUsage(services: Services, request: ExportUsageRequest, context: HandlerContext) {
  const asked = readUsageRequest(request, MAX_DAYS);
  const isWhole = hasScope(context, "parties.read");
  using life = openStreamLife(context, services, ACROSS_CARRIERS, "feed");
  const found = await readExport(services, { ...asked, isWhole }, life);
  const exportId = randomUUID();
  await discloseRecords(services, context, {
    request,
    masked: !isWhole,
    sessionId: exportId,
    disclosed: disclosedUsage(asked, found.carrierIds),
  });
  using stall = new StallWatch(services.config.limits.maxStallMs, life);
  const frame = (message: Parameters<typeof create<typeof ExportUsageResponseSchema>>[1]) =>
    stall.watch(create(ExportUsageResponseSchema, message));
  const { completeness } = found;
  const header = { exportId, snapshotTime: timestampFromMicros(found.snapshotTime), completeness };
  yield frame({ frame: { case: "header", value: header } });
  for (let batch = found.batches.shift(); batch; batch = found.batches.shift()) {
    stall.resumed();
    assertAlive(life, stall);
    yield frame({ frame: { case: "batch", value: fromBinary(UsageExportBatchSchema, batch) } });
  }
  stall.resumed();
  assertAlive(life, stall);
  const trailer = { rowCount: BigInt(found.rowCount), totals: totalsFields(found.totals) };
  yield frame({ frame: { case: "trailer", value: trailer } });
}

async function readExport(
  services: Services,
  asked: ReadUsageRequest & { readonly isWhole: boolean },
  life: OpenStreamLife,
) {
  const period = await systemTransaction(services.db, (tx) => withDays(tx, asked.period));
  return systemTransaction(
    services.db,
    async (tx) => {
      const snapshotTime = await readClock(tx);
      const { query, completeness, carrierIds } = await readUsage(tx, services, { ...asked, period });
      return { snapshotTime, completeness, carrierIds, ...(await readBatches(tx, query, life)) };
    },
    { snapshot: true, statementTimeoutMs: STATEMENT_TIMEOUT_MS },
  );
}

async function readBatches(tx: Tx, query: UsageQuery, life: OpenStreamLife) {
  const columns = keyColumns(query.groupBy);
  const batches: Uint8Array[] = [];
  let rowCount = 0;
  let totals = NO_USAGE;
  for await (const groups of readAllUsageGroups(tx, query, BATCH_ROWS)) {
    assertAlive(life);
    rowCount += groups.length;
    if (rowCount > MAX_ROWS) {
      const message = `more than ${MAX_ROWS} rows: ask for a shorter period or fewer dimensions`;
      throw new TandemError("INVALID_ARGUMENT", message, { field: "group_by" });
    }
    for (const { parts } of groups) totals = addTotals(totals, totalOf(parts));
    const batch = create(UsageExportBatchSchema, { rows: groups.map((group) => rowMessage(group, columns)) });
    batches.push(toBinary(UsageExportBatchSchema, batch));
  }
  return { batches, rowCount, totals };
}
