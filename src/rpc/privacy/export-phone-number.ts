import { randomUUID } from "node:crypto";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { PRIVACY_STATEMENT_VERSION } from "../../domain/privacy/retention.ts";
import { StallWatch } from "../../domain/stream-life.ts";
import { isoFromMicros, type Micros, timestampFromMicros } from "../../domain/time/instant.ts";
import {
  type ExportPhoneNumberRequest,
  ExportPhoneNumberResponseSchema,
  PhoneNumberExportHeaderSchema,
  type PhoneNumberExportItem,
  PhoneNumberExportItemSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { appendAuditEvent } from "../../store/audit/audit-log.ts";
import { systemTransaction } from "../../store/database/database.ts";
import { readClock } from "../../store/database/run.ts";
import { hasScope } from "../shared/access/caller.ts";
import { doneBy } from "../shared/audit/audit.ts";
import type { Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { maskForReader } from "../shared/masking/reader-mask.ts";
import { assertAlive, openStreamLife } from "../shared/stream-life.ts";
import { disclosedItem } from "./export-disclosed.ts";
import { exportedPages } from "./export-pages.ts";
import type { ExportedItem } from "./export-records.ts";
import { type AskedExport, readExportRequest } from "./export-request.ts";
import { policyMessage, readPolicies } from "./retention-policies.ts";

/** Most items of a message, and most bytes: an item has at most some tens of kilobytes. */
const BATCH_ITEMS = 1_000;
const BATCH_BYTES = 1_048_576;
/** One limit of streams, 8, for all exports of a process. */
const ACROSS_CARRIERS = "";

type Frame = NonNullable<MessageInitShape<typeof ExportPhoneNumberResponseSchema>["frame"]>;

/** Reads a page, logs its disclosure, sends it at the client's pace, reads the next. */
export async function* exportPhoneNumber(
  services: Services,
  request: ExportPhoneNumberRequest,
  context: HandlerContext,
) {
  const asked = readExportRequest(request);
  using life = openStreamLife(context, services, ACROSS_CARRIERS, "feed");
  const exportId = randomUUID();
  const { snapshotTime, policies } = await beginExport(services, context, exportId, asked);
  using stall = new StallWatch(services.config.limits.maxStallMs, life);
  const frame = (value: Frame) => stall.watch(create(ExportPhoneNumberResponseSchema, { frame: value }));
  const header = create(PhoneNumberExportHeaderSchema, {
    exportId,
    snapshotTime: timestampFromMicros(snapshotTime),
    privacyStatementVersion: PRIVACY_STATEMENT_VERSION,
    policies: policies.map(policyMessage),
  });
  // What somebody wrote about a policy is not about the person.
  maskForReader(PhoneNumberExportHeaderSchema, header);
  yield frame({ case: "header", value: header });
  stall.resumed();
  let itemCount = 0n;
  let withheldCount = 0n;
  for await (const { carrierId, items, withheld } of exportedPages(services, asked, {
    mayReadLocation: hasScope(context, "locations.read"),
    snapshotTime,
    checkpoint: () => assertAlive(life, stall),
  })) {
    withheldCount += BigInt(withheld);
    for (const batch of batchesOf(carrierId, items)) {
      assertAlive(life, stall);
      await discloseRecords(services, context, {
        request,
        masked: true,
        sessionId: exportId,
        disclosed: batch.flatMap(disclosedItem),
      });
      itemCount += BigInt(batch.length);
      yield frame({ case: "batch", value: { items: batch } });
      stall.resumed();
    }
    assertAlive(life, stall);
  }
  yield frame({ case: "trailer", value: { itemCount, withheldCount } });
}

// The act is in the audit log before anything of it leaves.
function beginExport(
  { db }: Services,
  context: HandlerContext,
  exportId: string,
  { subject, start, end, caseReference, verifiedBy }: AskedExport,
): Promise<{ snapshotTime: Micros; policies: Parameters<typeof policyMessage>[0][] }> {
  return systemTransaction(db, async (tx) => {
    const snapshotTime = await readClock(tx);
    const policies = await readPolicies(tx, "", "");
    const window = { start_time: isoFromMicros(start), end_time: isoFromMicros(end) };
    const details = { case_reference: caseReference, verified_by: verifiedBy, role: subject.role, ...window };
    await appendAuditEvent(tx, doneBy(context, { carrierId: undefined, resource: `export/${exportId}`, details }));
    return { snapshotTime, policies };
  });
}

function* batchesOf(carrierId: string, items: readonly ExportedItem[]): Generator<PhoneNumberExportItem[]> {
  let batch: PhoneNumberExportItem[] = [];
  let bytes = 0;
  for (const item of items) {
    const message = create(PhoneNumberExportItemSchema, { carrierId, item });
    const size = toBinary(PhoneNumberExportItemSchema, message).length;
    if (batch.length > 0 && (batch.length === BATCH_ITEMS || bytes + size > BATCH_BYTES)) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(message);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
