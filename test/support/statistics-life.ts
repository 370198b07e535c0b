import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { NumberService as CarrierNumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import {
  type CallDuration,
  CallDurationSchema,
  CallPartSchema,
} from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { restateUsage } from "../../src/jobs/restate-usage.ts";
import { expireCarrier } from "../../src/jobs/retention/carrier.ts";
import { encodeRestatement } from "../../src/rpc/usage/message.ts";
import { readCarrier } from "../../src/store/carriers/carriers.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { erase } from "./erasure.ts";
import type { Exchange } from "./exchange.ts";
import { fromNow, newRequestId, provisionItem } from "./numbers.ts";
import { appendCdrs, appendDurations, reconcileFully } from "./reconcile.ts";
import type { WorldCarrier } from "./statistics-world.ts";

// What happens at a carrier besides calls to every method: corrections, ports, erasures, retention.

const DAY_MS = 86_400_000;
const NOW_MS = Date.now();
const VOID = 2;

/** Some records of each side in a further revision, and some that are taken back. */
export async function correctRecords(exchange: Exchange, { carrierId, cdrs, durations }: WorldCarrier): Promise<void> {
  const { db } = exchange.services;
  const cdr = (record: CallDetailRecord, kind: number) =>
    create(CallDetailRecordSchema, { ...record, revision: 2, kind });
  const duration = (record: CallDuration, kind: number) =>
    create(CallDurationSchema, { ...record, revision: 2, kind, connectedDurationMs: 61_000n, billedDurationS: 121n });
  await appendCdrs(db, carrierId, [
    ...cdrs.slice(200, 220).map((record) => cdr(record, 1)),
    ...cdrs.slice(220, 240).map((record) => cdr(record, VOID)),
  ]);
  await appendDurations(db, carrierId, [
    ...durations.slice(240, 260).map((record) => duration(record, 1)),
    ...durations.slice(260, 280).map((record) => duration(record, VOID)),
  ]);
}

/** Calls of which the carrier tells the parts, each in a record of its own. */
export async function splitCalls(exchange: Exchange, { carrierId, durations }: WorldCarrier): Promise<void> {
  const parts = durations.slice(300, 310).flatMap((record) =>
    [1, 2].map((partIndex) =>
      create(CallDurationSchema, {
        ...record,
        recordId: `${record.recordId}-part-${partIndex}`,
        part: create(CallPartSchema, { partIndex, partCount: 2, lastPart: partIndex === 2 }),
      }),
    ),
  );
  await appendDurations(exchange.services.db, carrierId, parts);
}

/** Ports to come, releases, and holdings of the past. */
export async function changeNumbers(exchange: Exchange, carrier: WorldCarrier): Promise<void> {
  const { carrierId, numbers } = carrier;
  const own = await exchange.carrierClient(CarrierNumberService, carrierId);
  const platform = await exchange.platformClient(PlatformNumberService);
  const [ported, released, planned] = [numbers.at(-16) ?? "", numbers.at(-17) ?? "", numbers.at(-18) ?? ""];
  const change = () => ({ requestId: newRequestId(), carrierId });
  await platform.portNumbers({
    ...change(),
    toCarrierId: "neighbour-1",
    phoneNumbers: [ported],
    effectiveTime: fromNow(DAY_MS),
  });
  await platform.listNumberHistory({ phoneNumber: ported });
  await platform.unassignNumbers({ ...change(), phoneNumbers: [released] });
  await own.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [released] });
  const since = { effectiveTime: fromNow(-DAY_MS) };
  await own.provisionNumbers({
    requestId: newRequestId(),
    items: [1, 2, 3].map((last) => provisionItem(`${carrier.numbers[0]?.slice(0, 5)}80000${last}`, since)),
  });
  await platform.unassignNumbers({ ...change(), phoneNumbers: [planned], effectiveTime: fromNow(DAY_MS) });
  await platform.unassignNumbers({ ...change(), phoneNumbers: [planned] });
}

/** A closed period whose figures corrections change. */
export async function restate(exchange: Exchange, { carrierId }: WorldCarrier): Promise<void> {
  const { db } = exchange.services;
  await reconcileFully(db, carrierId, { nowMs: NOW_MS + 48 * 3_600_000 });
  const onError = (error: unknown) => {
    throw error;
  };
  await restateUsage({ db, encode: encodeRestatement, onError }, carrierId, undefined, new AbortController().signal);
}

/**
 * All that the carrier had becomes older than any retention, but for what a hold keeps; what is
 * kept is asked for, and then erased.
 */
export async function passRetention(exchange: Exchange, carrier: WorldCarrier): Promise<void> {
  const { carrierId } = carrier;
  const privacy = createClient(PrivacyService, await exchange.platformTransport());
  const period = { startDate: dayOf(NOW_MS - DAY_MS), endDate: dayOf(NOW_MS + DAY_MS), trunkId: "trunk-2" };
  const { hold } = await privacy.createHold({
    requestId: newRequestId(),
    hold: {
      carrierId,
      target: { case: "period", value: period },
      reason: 1,
      endTime: fromNow(1_500 * DAY_MS),
      caseReference: "case 8",
      owner: "legal",
    },
  });
  await expire(exchange, carrierId, 900 * DAY_MS);
  const number = carrier.numbers[7] ?? "";
  const pages = privacy.exportPhoneNumber({
    phoneNumber: number,
    startTime: fromNow(-6 * DAY_MS),
    endTime: fromNow(-1_000),
    role: 1,
    caseReference: "case 8",
    verifiedBy: "desk",
  });
  for await (const _ of pages);
  await privacy.releaseHold({ requestId: newRequestId(), holdId: hold?.holdId ?? "", releaseNote: "over" });
  await erase(exchange, number, { startMs: NOW_MS - 2 * DAY_MS });
}

async function expire(exchange: Exchange, carrierId: string, aheadMs: number): Promise<void> {
  const { db } = exchange.services;
  const carrier = await systemTransaction(db, (tx) => readCarrier(tx, carrierId));
  if (!carrier) throw new Error(`there is no carrier ${carrierId}`);
  const work = {
    db,
    now: microsFromMs(NOW_MS + aheadMs),
    batchSize: 1_000,
    signal: new AbortController().signal,
    step: <T>(run: Parameters<typeof systemTransaction<T>>[1]) =>
      systemTransaction(db, run, { byIndexOnly: true, inOrder: true }),
    pause: async () => {},
  };
  for (const stage of ["floors", "rows"] as const) await expireCarrier(work, carrier, stage);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
