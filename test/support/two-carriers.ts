import { randomBytes } from "node:crypto";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { appendDiscrepancies } from "./call-results.ts";
import type { Exchange } from "./exchange.ts";
import { atCursor, call, EARLIEST, HEAD, ingest } from "./feed.ts";
import { provisionItem } from "./numbers.ts";
import { durationOf, type RecordSpec } from "./upload-kinds.ts";

const DAY_MS = 86_400_000;

/** The period that every list of these tests asks for: page tokens are good for it only. */
export const PERIOD = {
  startTime: { seconds: BigInt(Math.floor((Date.now() - 3 * DAY_MS) / 1_000)) },
  endTime: { seconds: BigInt(Math.floor((Date.now() + DAY_MS) / 1_000)) },
};

/** Everything that belongs to one carrier and that another might name. */
export interface CarrierNames {
  readonly carrierId: string;
  readonly displayName: string;
  readonly number: string;
  readonly releasedNumber: string;
  /** Held and assigned since long ago, so that calls of it are attributed. */
  readonly callNumber: string;
  readonly customerId: string;
  readonly customerReference: string;
  readonly locationId: string;
  readonly recordId: string;
  readonly callId: string;
  readonly dialogCallId: string;
  readonly correlationId: string;
  readonly trunkId: string;
  readonly codec: string;
  readonly durationId: string;
  readonly otherDurationId: string;
  readonly quarantinedId: string;
  readonly uploadId: string;
  readonly sealedUploadId: string;
  readonly consumer: string;
  readonly otherConsumer: string;
  readonly provisionId: string;
  readonly releaseId: string;
  readonly cdrCursor: string;
  readonly filteredCdrCursor: string;
  readonly numberCursor: string;
  readonly snapshotCursor: string;
  readonly watchCursor: string;
  readonly numbersToken: string;
  readonly cdrsToken: string;
  readonly consumersToken: string;
  readonly uploadsToken: string;
  readonly rejectsToken: string;
  readonly durationsToken: string;
  readonly discrepancyId: string;
  readonly discrepancyCursor: string;
  readonly filteredDiscrepancyCursor: string;
  readonly discrepanciesToken: string;
  readonly summaryToken: string;
}

/**
 * Of a seal: its version and the key that it was made with. What has others gets another answer.
 */
const SEAL_HEADER_BYTES = 5;

/**
 * Names that exist nowhere, of the same form as those of a carrier.
 * @param seed a digit that no carrier has.
 * @param like a carrier's, whose seals these look like.
 */
export function namesNowhere(name: string, seed: number, like: CarrierNames): CarrierNames {
  const header = Buffer.from(like.cdrCursor, "base64url").subarray(0, SEAL_HEADER_BYTES);
  const sealed = (bytes: number) =>
    Buffer.concat([header, randomBytes(bytes - SEAL_HEADER_BYTES)]).toString("base64url");
  const cursor = (keyBytes = 0) => sealed(46 + keyBytes);
  const token = () => sealed(60);
  return {
    ...namesOf(name, seed),
    cdrCursor: cursor(),
    filteredCdrCursor: cursor(),
    numberCursor: cursor(),
    snapshotCursor: cursor("1:+441632960101".length),
    watchCursor: cursor(),
    numbersToken: token(),
    cdrsToken: token(),
    consumersToken: token(),
    uploadsToken: token(),
    rejectsToken: token(),
    durationsToken: token(),
    discrepancyCursor: cursor(),
    filteredDiscrepancyCursor: cursor(),
    discrepanciesToken: token(),
    summaryToken: token(),
  };
}

/** Onboards a carrier and gives it some of everything, through the services. */
export async function furnishCarrier(exchange: Exchange, name: string, seed: number): Promise<CarrierNames> {
  const names = namesOf(name, seed);
  await exchange.addCarrier(names.carrierId, { displayName: names.displayName });
  await provideNumbers(exchange, names);
  const cursors = await provideRecords(exchange, names);
  await provideUploads(exchange, names);
  await provideResults(exchange, names);
  const given = { ...names, ...cursors };
  return { ...given, ...(await readTokens(exchange, given)), ...(await readReconciliation(exchange, given)) };
}

type PlainNames = ReturnType<typeof namesOf>;

// Numbers of two carriers differ in their last three digits only, which is what masking hides.
function namesOf(name: string, seed: number) {
  return {
    carrierId: name,
    displayName: `${name} display name`,
    number: `+441632960${seed}01`,
    releasedNumber: `+441632960${seed}02`,
    callNumber: `+441632960${seed}03`,
    customerId: `${name}-customer`,
    customerReference: `${name}-reference`,
    locationId: `${name}-location`,
    recordId: `${name}-record-0`,
    callId: `call-${name}-record-0`,
    dialogCallId: `${name}-dialog`,
    correlationId: `${name}-correlation`,
    trunkId: `${name}-trunk`,
    codec: `${name}-codec`,
    durationId: `${name}-duration-1`,
    otherDurationId: `${name}-duration-2`,
    quarantinedId: `${name}-duration-quarantined`,
    discrepancyId: `${name}-discrepancy-0`,
    uploadId: `${name}-upload-open`,
    sealedUploadId: `${name}-upload-sealed`,
    consumer: `${name}-consumer-a`,
    otherConsumer: `${name}-consumer-b`,
    provisionId: `${name}-request-provision`,
    releaseId: `${name}-request-release`,
  };
}

async function provideNumbers(exchange: Exchange, names: PlainNames): Promise<void> {
  const { carrierId, number, releasedNumber, callNumber, customerId } = names;
  const client = await exchange.carrierClient(NumberService, carrierId);
  await client.provisionNumbers(provisionRequest(names));
  await client.releaseNumbers({ requestId: names.releaseId, phoneNumbers: [releasedNumber] });
  const platform = await exchange.platformClient(PlatformNumberService);
  const items = [{ phoneNumber: number, customerId, assigneeKind: 1 }];
  await platform.assignNumbers({ requestId: `${carrierId}-assign`, carrierId, items });
  await exchange.assignNumbers(carrierId, [callNumber], customerId);
}

/** The call with which a carrier offered its numbers. */
export function provisionRequest(names: PlainNames) {
  const more = { countryCode: "GB", customerReference: names.customerReference, locationId: names.locationId };
  return {
    requestId: names.provisionId,
    items: [names.number, names.releasedNumber].map((number) => provisionItem(number, more)),
  };
}

async function provideRecords(exchange: Exchange, names: PlainNames) {
  const { carrierId, callNumber, customerId } = names;
  const records = Array.from({ length: 3 }, (_, index) =>
    call(`${carrierId}-record-${index}`, {
      parties: { calling: { kind: 1, value: callNumber }, called: { kind: 1, value: "+12025550123" } },
      correlation: {
        interconnectDialog: { callId: names.dialogCallId, fromTag: `${carrierId}-from`, toTag: `${carrierId}-to` },
        correlationId: names.correlationId,
      },
      route: { trunkId: names.trunkId, codec: names.codec },
      streamQualities: [{ direction: 1, edge: 1, jitterAvgMs: 45 }],
    }),
  );
  await ingest(exchange, carrierId, records);
  const client = await exchange.carrierClient(CdrService, carrierId);
  const lastCursor = async (filter: { customerIds?: string[] }) => {
    let cursor = "";
    for await (const message of client.streamCdrs({ start: EARLIEST, end: HEAD, filter })) cursor = message.cursor;
    return cursor;
  };
  const cdrCursor = await lastCursor({});
  for (const consumer of [names.consumer, names.otherConsumer])
    await client.commitCdrCursor({ consumer, cursor: cdrCursor });
  return {
    cdrCursor,
    filteredCdrCursor: await lastCursor({ customerIds: [customerId] }),
  };
}

async function provideUploads(exchange: Exchange, names: PlainNames): Promise<void> {
  const { carrierId, callNumber, uploadId, sealedUploadId } = names;
  const client = await exchange.carrierClient(DurationService, carrierId);
  const specs: RecordSpec[] = [
    { id: names.durationId, calling: callNumber },
    { id: names.otherDurationId, calling: callNumber },
    { id: `${carrierId}-broken-1`, calling: callNumber, isBroken: true },
    { id: `${carrierId}-broken-2`, calling: callNumber, isBroken: true },
    // A number that is nobody's.
    { id: names.quarantinedId, calling: "+441632960999" },
  ];
  await client.appendDurations({ uploadId, firstOffset: 0n, records: specs.map(durationOf) });
  const totals = { recordCount: 1n, connectedDurationMs: 60_000n };
  const records = [durationOf({ id: `${carrierId}-sealed`, calling: callNumber })];
  await client.appendDurations({ uploadId: sealedUploadId, records, finish: { finalOffset: 1n, totals } });
}

async function provideResults(exchange: Exchange, names: PlainNames): Promise<void> {
  const rows = [0, 1, 2].map((index) => ({
    discrepancy_id: `${names.carrierId}-discrepancy-${index}`,
    record_id: `${names.carrierId}-record-${index}`,
    carrier_record_ids: [names.durationId],
    customer_id: names.customerId,
    trunk_id: `${names.trunkId}${index === 0 ? "" : `-${index}`}`,
    call_id: names.callId,
    phone_number: names.callNumber,
  }));
  await appendDiscrepancies(exchange.services.db, names.carrierId, rows);
}

/** The days that every summary of these tests asks for. */
export const DATES = {
  startDate: new Date(Date.now() - 3 * DAY_MS).toISOString().slice(0, 10),
  endDate: new Date(Date.now() + 2 * DAY_MS).toISOString().slice(0, 10),
};

async function readReconciliation(exchange: Exchange, { carrierId, customerId }: PlainNames) {
  const client = await exchange.carrierClient(ReconciliationService, carrierId);
  const lastCursor = async (filter: { customerIds?: string[] }) => {
    let cursor = "";
    for await (const message of client.watchDiscrepancies({ start: EARLIEST, end: HEAD, filter }))
      cursor = message.cursor;
    return cursor;
  };
  const pageSize = 1;
  return {
    discrepancyCursor: await lastCursor({}),
    filteredDiscrepancyCursor: await lastCursor({ customerIds: [customerId] }),
    discrepanciesToken: (await client.listDiscrepancies({ pageSize })).nextPageToken,
    summaryToken: (await client.getReconciliationSummary({ ...DATES, pageSize })).nextPageToken,
  };
}

async function readTokens(exchange: Exchange, names: PlainNames & { cdrCursor: string }) {
  const { carrierId } = names;
  const numbers = await exchange.carrierClient(NumberService, carrierId);
  const cdrs = await exchange.carrierClient(CdrService, carrierId);
  const durations = await exchange.carrierClient(DurationService, carrierId);
  await (await exchange.carrierClient(AgreementService, carrierId)).getAgreement({});
  const numberPage = await numbers.listNumbers({ pageSize: 1 });
  let numberCursor = "";
  for await (const message of numbers.watchNumbers({ start: EARLIEST, end: HEAD })) numberCursor = message.cursor;
  let snapshotCursor = "";
  for await (const { cursor, frame } of numbers.watchNumbers({ initialState: true, end: HEAD }))
    if (frame.case === "snapshot") snapshotCursor = cursor;
  const pageSize = 1;
  return {
    numberCursor,
    snapshotCursor,
    watchCursor: numberPage.watchCursor,
    numbersToken: numberPage.nextPageToken,
    cdrsToken: (await cdrs.listCdrs({ ...PERIOD, pageSize })).nextPageToken,
    consumersToken: (await cdrs.listCdrConsumers({ pageSize })).nextPageToken,
    uploadsToken: (await durations.listUploads({ pageSize })).nextPageToken,
    rejectsToken: (await durations.listRejects({ uploadId: names.uploadId, pageSize })).nextPageToken,
    durationsToken: (await durations.listDurations({ ...PERIOD, pageSize })).nextPageToken,
  };
}

/** A start that a cursor names. */
export const startAt = atCursor;
