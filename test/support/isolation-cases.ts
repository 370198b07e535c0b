import { create } from "@bufbuild/protobuf";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import type { AnyRequest } from "./any-call.ts";
import { EARLIEST, HEAD } from "./feed.ts";
import { provisionItem } from "./numbers.ts";
import { type CarrierNames, DATES, PERIOD, provisionRequest, startAt } from "./two-carriers.ts";
import { durationOf, type RecordSpec } from "./upload-kinds.ts";

/** One way to ask a method for what may be another carrier's. */
export interface IsolationCase {
  readonly what: string;
  /**
   * The request, with names that may be another carrier's or nobody's.
   * @param own the caller's own names.
   */
  readonly request: (names: CarrierNames, own: CarrierNames) => AnyRequest;
  /** How the call ends for one who does not own the names. */
  readonly expected: string;
  /**
   * The owner gets the same answer, because nobody has anything there. Default false: the owner's
   * own call must get another.
   */
  readonly sameForOwner?: true;
}

const pageSize = 1;

/**
 * The methods that write. They are tried last: what they leave at the caller's would be found by
 * the others.
 */
export const WRITING_METHODS: ReadonlySet<string> = new Set([
  "NumberService/ProvisionNumbers",
  "NumberService/ReleaseNumbers",
  "CdrService/CommitCdrCursor",
  "DurationService/UploadDurations",
  "DurationService/AppendDurations",
]);

/**
 * Every method of tandem.carrier.v1, with every field by which a request could reach for something
 * of another carrier.
 */
export const ISOLATION_CASES: Readonly<Record<string, readonly IsolationCase[]>> = {
  "AgreementService/GetAgreement": [{ what: "nothing to name", request: () => ({}), expected: "OK" }],

  "NumberService/GetNumber": [
    { what: "a number", request: (n) => ({ phoneNumber: n.number }), expected: "NUMBER_NOT_FOUND" },
    { what: "a number of its past", request: (n) => ({ phoneNumber: n.releasedNumber }), expected: "NUMBER_NOT_FOUND" },
  ],
  "NumberService/ListNumbers": [
    { what: "no filter", request: () => ({}), expected: "OK" },
    { what: "a customer", request: (n) => ({ filter: { customerId: n.customerId } }), expected: "OK" },
    { what: "a number as prefix", request: (n) => ({ filter: { numberPrefix: n.number } }), expected: "OK" },
    {
      what: "a page token",
      request: (n) => ({ pageSize, pageToken: n.numbersToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],
  "NumberService/WatchNumbers": [
    { what: "the initial state", request: () => ({ initialState: true, end: HEAD }), expected: "OK" },
    { what: "the whole feed", request: () => ({ start: EARLIEST, end: HEAD }), expected: "OK" },
    {
      what: "a customer",
      request: (n) => ({ start: EARLIEST, end: HEAD, filter: { customerId: n.customerId } }),
      expected: "OK",
    },
    ...(["numberCursor", "snapshotCursor", "watchCursor", "cdrCursor"] as const).map((cursor) => ({
      what: `a cursor to start at, ${cursor}`,
      request: (n: CarrierNames) => ({ start: startAt(n[cursor]), end: HEAD }),
      expected: "CURSOR_MALFORMED",
      // The cursor of another feed is nobody's here.
      ...(cursor === "cdrCursor" ? { sameForOwner: true as const } : {}),
    })),
    {
      what: "a snapshot's cursor with the initial state",
      request: (n) => ({ initialState: true, start: startAt(n.snapshotCursor), end: HEAD }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a cursor to end at",
      request: (n) => ({ start: EARLIEST, end: startAt(n.numberCursor) }),
      expected: "CURSOR_MALFORMED",
    },
  ],
  "NumberService/ProvisionNumbers": [
    {
      what: "a request id, with the owner's own request",
      request: (n, own) => ({ ...provisionRequest(own), requestId: n.provisionId }),
      expected: "OK",
    },
    {
      what: "a request id, with another request",
      request: (n, own) => ({ requestId: n.releaseId, items: [provisionItem(own.number, { countryCode: "GB" })] }),
      expected: "OK",
      // A request id counts for its method.
      sameForOwner: true,
    },
    {
      what: "a customer, a location and a reference",
      request: (n, own) => ({
        requestId: `${n.carrierId}-as-bolt`,
        items: [
          provisionItem(own.releasedNumber, {
            countryCode: "GB",
            customerId: n.customerId,
            locationId: n.locationId,
            customerReference: n.customerReference,
          }),
        ],
      }),
      expected: "OK",
      // Names of customers and places are free text of each carrier.
      sameForOwner: true,
    },
  ],
  "NumberService/ReleaseNumbers": [
    {
      what: "numbers",
      request: (n) => ({
        requestId: `release-${n.carrierId}`,
        phoneNumbers: [n.number, n.releasedNumber],
      }),
      expected: "OK",
    },
    {
      what: "a request id",
      request: (n) => ({ requestId: n.releaseId, phoneNumbers: [n.releasedNumber] }),
      expected: "OK",
    },
  ],

  "CdrService/StreamCdrs": [
    { what: "the whole feed", request: () => ({ start: EARLIEST, end: HEAD }), expected: "OK" },
    {
      what: "a cursor to start at",
      request: (n) => ({ start: startAt(n.cdrCursor), end: HEAD }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a filtered cursor with its filter",
      request: (n) => ({
        start: startAt(n.filteredCdrCursor),
        end: HEAD,
        filter: { customerIds: [n.customerId] },
      }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a cursor to end at",
      request: (n) => ({ start: EARLIEST, end: startAt(n.cdrCursor) }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a consumer",
      request: (n) => ({ start: { position: { case: "consumer", value: n.consumer } }, end: HEAD }),
      expected: "CONSUMER_NOT_FOUND",
    },
    {
      what: "customers, numbers and a trunk",
      request: (n) => ({
        start: EARLIEST,
        end: HEAD,
        filter: { customerIds: [n.customerId], phoneNumbers: [n.callNumber], trunkId: n.trunkId },
      }),
      expected: "OK",
    },
  ],
  "CdrService/ListCdrs": [
    { what: "a period", request: () => PERIOD, expected: "OK" },
    { what: "a dialog", request: (n) => ({ dialogCallId: n.dialogCallId }), expected: "OK" },
    { what: "a correlation id", request: (n) => ({ correlationId: n.correlationId }), expected: "OK" },
    {
      what: "customers, numbers and a trunk",
      request: (n) => ({
        ...PERIOD,
        filter: { customerIds: [n.customerId], phoneNumbers: [n.callNumber], trunkId: n.trunkId },
      }),
      expected: "OK",
    },
    {
      what: "a page token",
      request: (n) => ({ ...PERIOD, pageSize, pageToken: n.cdrsToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],
  "CdrService/GetCdr": [
    {
      what: "a record",
      request: (n) => ({ name: { case: "recordId", value: n.recordId } }),
      expected: "RECORD_NOT_FOUND",
    },
    {
      what: "a record of a day",
      request: (n) => ({
        name: { case: "recordId", value: n.recordId },
        recordDate: new Date(Date.now() - 3_600_000).toISOString().slice(0, 10),
      }),
      expected: "RECORD_NOT_FOUND",
    },
    { what: "a call", request: (n) => ({ name: { case: "callId", value: n.callId } }), expected: "RECORD_NOT_FOUND" },
  ],
  "CdrService/GetCdrFeed": [{ what: "nothing to name", request: () => ({}), expected: "OK", sameForOwner: true }],
  "CdrService/ResolveCdrCursor": [
    {
      what: "a customer",
      request: (n) => ({ ingestTime: PERIOD.startTime, filter: { customerIds: [n.customerId] } }),
      expected: "OK",
      // The position before everything; its cursor is another, and tests blur cursors.
      sameForOwner: true,
    },
  ],
  "CdrService/CommitCdrCursor": [
    {
      what: "a cursor",
      request: (n) => ({ consumer: "new", cursor: n.cdrCursor }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a consumer and its cursor",
      request: (n) => ({ consumer: n.consumer, cursor: n.cdrCursor, previousCursor: n.cdrCursor }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a filtered cursor",
      request: (n) => ({ consumer: "new", cursor: n.filteredCdrCursor }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a consumer, with a cursor of one's own",
      request: (n, own) => ({ consumer: n.consumer, cursor: own.cdrCursor, previousCursor: n.cdrCursor }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a previous cursor",
      request: (n, own) => ({ consumer: own.consumer, cursor: own.filteredCdrCursor, previousCursor: n.cdrCursor }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a consumer's name, to use it too",
      request: (n, own) => ({ consumer: n.otherConsumer, cursor: own.cdrCursor }),
      expected: "OK",
      sameForOwner: true,
    },
  ],
  "CdrService/ListCdrConsumers": [
    {
      what: "a page token",
      request: (n) => ({ pageSize, pageToken: n.consumersToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],
  "CdrService/SummarizeQuality": [
    {
      what: "a period, by trunk and codec",
      request: () => ({ ...PERIOD, period: 2, dimensions: [1, 2] }),
      expected: "OK",
    },
    {
      what: "customers, numbers and a trunk",
      request: (n) => ({
        ...PERIOD,
        period: 2,
        filter: { customerIds: [n.customerId], phoneNumbers: [n.callNumber], trunkId: n.trunkId },
      }),
      expected: "OK",
    },
  ],

  "DurationService/UploadDurations": [
    {
      what: "an open upload, with records that the owner has sent",
      request: (n, own) => uploadFrames(n.uploadId, 0n, [{ id: n.durationId, calling: own.callNumber }]),
      expected: "UPLOAD_NOT_FINISHED",
    },
    {
      what: "a sealed upload",
      request: (n) => uploadFrames(n.sealedUploadId, 0n, []),
      expected: "UPLOAD_NOT_FINISHED",
    },
    {
      what: "an upload, resumed where its owner stands",
      request: (n) => uploadFrames(n.uploadId, 5n, []),
      expected: "UPLOAD_HISTORY_LOST",
    },
    {
      what: "an upload, to try records",
      request: (n, own) => [
        { frame: { case: "open", value: { uploadId: n.uploadId, validateOnly: true } } },
        batchFrame([
          { id: n.durationId, calling: n.callNumber },
          { id: n.otherDurationId, calling: own.callNumber },
          { id: n.quarantinedId, calling: n.number },
        ]),
      ],
      expected: "UPLOAD_NOT_FINISHED",
    },
    {
      what: "calls of a number, and the platform's record of one",
      request: (n) => [
        { frame: { case: "open", value: { uploadId: `calls-of-${n.carrierId}` } } },
        {
          frame: {
            case: "batch",
            value: {
              records: [
                create(CallDurationSchema, {
                  ...durationOf({ id: `call-of-${n.carrierId}`, calling: n.callNumber }),
                  platformRecordId: n.recordId,
                  trunkId: n.trunkId,
                }),
              ],
            },
          },
        },
      ],
      expected: "UPLOAD_NOT_FINISHED",
    },
  ],
  "DurationService/AppendDurations": [
    {
      what: "an upload and records of it",
      request: (n, own) => ({
        uploadId: `${n.uploadId}:again`,
        records: [{ id: n.otherDurationId, calling: own.callNumber }].map(durationOf),
      }),
      expected: "OK",
    },
    {
      what: "an upload, resumed where its owner stands",
      request: (n, own) => ({
        uploadId: n.sealedUploadId,
        firstOffset: 1n,
        acknowledgedOffset: 1n,
        records: [{ id: "mine", calling: own.callNumber }].map(durationOf),
      }),
      expected: "UPLOAD_HISTORY_LOST",
    },
  ],
  "DurationService/GetUpload": [
    { what: "an open upload", request: (n) => ({ uploadId: n.uploadId }), expected: "UPLOAD_NOT_FOUND" },
    { what: "a sealed upload", request: (n) => ({ uploadId: n.sealedUploadId }), expected: "UPLOAD_NOT_FOUND" },
  ],
  "DurationService/ListUploads": [
    { what: "everything", request: () => ({}), expected: "OK" },
    {
      what: "a page token",
      request: (n) => ({ pageSize, pageToken: n.uploadsToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],
  "DurationService/ListRejects": [
    { what: "an upload", request: (n) => ({ uploadId: n.uploadId }), expected: "UPLOAD_NOT_FOUND" },
    {
      what: "an upload and a page token",
      request: (n) => ({ uploadId: n.uploadId, pageSize, pageToken: n.rejectsToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
    {
      what: "an upload of one's own and a page token",
      request: (n, own) => ({ uploadId: own.uploadId, pageSize, pageToken: n.rejectsToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],
  "DurationService/ListDurations": [
    { what: "a period", request: () => PERIOD, expected: "OK" },
    { what: "a record", request: (n) => ({ ...PERIOD, recordId: n.durationId }), expected: "OK" },
    {
      what: "a record in quarantine",
      request: (n) => ({ ...PERIOD, recordId: n.quarantinedId, state: 2 }),
      expected: "OK",
    },
    {
      what: "a page token",
      request: (n) => ({ ...PERIOD, pageSize, pageToken: n.durationsToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],

  "ReconciliationService/GetReconciliationSummary": [
    { what: "a period", request: () => DATES, expected: "OK" },
    {
      what: "customers and a trunk",
      request: (n) => ({ ...DATES, customerIds: [n.customerId], trunkIds: [n.trunkId] }),
      expected: "OK",
    },
    {
      what: "a page token",
      request: (n) => ({ ...DATES, pageSize, pageToken: n.summaryToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],
  "ReconciliationService/ListDiscrepancies": [
    { what: "everything", request: () => ({}), expected: "OK" },
    {
      what: "customers and a trunk",
      request: (n) => ({ filter: { customerIds: [n.customerId], trunkIds: [n.trunkId] } }),
      expected: "OK",
    },
    {
      what: "a page token",
      request: (n) => ({ pageSize, pageToken: n.discrepanciesToken }),
      expected: "PAGE_TOKEN_INVALID",
    },
  ],
  "ReconciliationService/ExplainCall": [
    {
      what: "a record of the platform's",
      request: (n) => ({ target: { case: "platformRecordId", value: n.recordId } }),
      expected: "RECORD_NOT_FOUND",
    },
    {
      what: "a call",
      request: (n) => ({ target: { case: "callId", value: n.callId } }),
      expected: "RECORD_NOT_FOUND",
    },
  ],
  "ReconciliationService/WatchDiscrepancies": [
    { what: "the whole feed", request: () => ({ start: EARLIEST, end: HEAD }), expected: "OK" },
    {
      what: "customers and a trunk",
      request: (n) => ({
        start: EARLIEST,
        end: HEAD,
        filter: { customerIds: [n.customerId], trunkIds: [n.trunkId] },
      }),
      expected: "OK",
    },
    {
      what: "a cursor to start at",
      request: (n) => ({ start: startAt(n.discrepancyCursor), end: HEAD }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a filtered cursor with its filter",
      request: (n) => ({
        start: startAt(n.filteredDiscrepancyCursor),
        end: HEAD,
        filter: { customerIds: [n.customerId] },
      }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a cursor to end at",
      request: (n) => ({ start: EARLIEST, end: startAt(n.discrepancyCursor) }),
      expected: "CURSOR_MALFORMED",
    },
    {
      what: "a consumer of call detail records",
      request: (n) => ({ start: { position: { case: "consumer", value: n.consumer } }, end: HEAD }),
      expected: "INVALID_ARGUMENT",
      // Discrepancies have none.
      sameForOwner: true,
    },
  ],
};

function uploadFrames(uploadId: string, acknowledgedOffset: bigint, records: readonly RecordSpec[]): AnyRequest {
  const open = { frame: { case: "open" as const, value: { uploadId, acknowledgedOffset } } };
  return records.length === 0 ? [open] : [open, batchFrame(records)];
}

function batchFrame(records: readonly RecordSpec[]) {
  return { frame: { case: "batch" as const, value: { firstOffset: 0n, records: records.map(durationOf) } } };
}
