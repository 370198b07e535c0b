import type { DescMethod } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { type AnyRequest, type CallOutcome, callAny } from "./any-call.ts";
import { listMethods, methodName } from "./contract.ts";
import type { Exchange } from "./exchange.ts";
import { EARLIEST, HEAD } from "./feed.ts";
import { fromNow, newRequestId, provisionItem } from "./numbers.ts";
import { policyOf } from "./retention.ts";
import type { WorldCarrier } from "./statistics-world.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = Date.now();
const PAGE = 150;

const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);
const window = () => ({ startTime: timestampFromMs(NOW - 6 * DAY_MS), endTime: timestampFromMs(NOW) });
const hour = () => ({ startTime: timestampFromMs(NOW - 10 * HOUR_MS), endTime: timestampFromMs(NOW - 9 * HOUR_MS) });
const days = () => ({ startDate: dayOf(NOW - 6 * DAY_MS), endDate: dayOf(NOW + DAY_MS) });

// A message as what another is made of.
const bare = (record: object | undefined) => {
  const { $typeName: _, ...fields } = record as { $typeName: string };
  return fields;
};

interface Names extends WorldCarrier {
  readonly number: string;
  readonly spare: string;
  readonly customerId: string;
  readonly discrepancyId: string;
  readonly holdId: string;
  readonly erasureId: string;
}

type Requests = Readonly<Record<string, (names: Names) => object[]>>;
const one = (request: object) => () => [request];

/** For each method that carriers call, requests by every look-up that it has. */
const OF_CARRIERS: Requests = {
  "AgreementService/GetAgreement": one({}),
  "NumberService/GetNumber": (n) => [{ phoneNumber: n.spare }],
  "NumberService/ListNumbers": (n) => [
    { pageSize: PAGE },
    { filter: { customerId: n.customers[1] }, pageSize: 10 },
    { filter: { numberPrefix: n.spare.slice(0, 11) }, pageSize: 10 },
    { filter: { states: [2], countryCode: "DK" }, pageSize: 10 },
  ],
  "NumberService/WatchNumbers": (n) => [
    { initialState: true, end: HEAD },
    { start: EARLIEST, end: HEAD },
    { start: EARLIEST, end: HEAD, filter: { customerId: n.customers[1] } },
  ],
  "NumberService/ProvisionNumbers": (n) => [
    {
      requestId: newRequestId(),
      items: [provisionItem(n.number.replace(/^.{6}/, (start) => `${start.slice(0, 5)}9`))],
    },
  ],
  "NumberService/ReleaseNumbers": (n) => [{ requestId: newRequestId(), phoneNumbers: [n.numbers.at(-1)] }],
  "CdrService/StreamCdrs": (n) => [
    { start: EARLIEST, end: HEAD },
    { start: EARLIEST, end: HEAD, filter: { phoneNumbers: [n.number] } },
    { start: EARLIEST, end: HEAD, filter: { qualityVerdicts: [1], trunkId: "trunk-1", direction: 1 } },
  ],
  "CdrService/ListCdrs": (n) => [
    { ...window(), pageSize: PAGE },
    { ...hour(), pageSize: PAGE },
    { ...window(), filter: { phoneNumbers: [n.number] }, pageSize: PAGE },
    { dialogCallId: `${n.carrierId}-d-7`, pageSize: PAGE },
    { correlationId: `${n.carrierId}-c-7`, pageSize: PAGE },
  ],
  "CdrService/GetCdr": (n) => [
    { name: { case: "recordId", value: "r-7" } },
    { name: { case: "recordId", value: "r-7" }, recordDate: dayOf(NOW - DAY_MS) },
    { name: { case: "callId", value: `${n.carrierId}-call-7` } },
  ],
  "CdrService/GetCdrFeed": one({}),
  "CdrService/ResolveCdrCursor": one({ ingestTime: timestampFromMs(NOW - 1_000) }),
  "CdrService/CommitCdrCursor": () => [],
  "CdrService/ListCdrConsumers": one({ pageSize: PAGE }),
  "CdrService/SummarizeQuality": one({ ...window(), period: 2, dimensions: [1] }),
  "DurationService/UploadDurations": (n) => [
    uploadFrames(`again-${n.carrierId}`, n.durations.slice(0, 200), undefined),
  ],
  "DurationService/AppendDurations": (n) => [
    { uploadId: "appended", records: n.durations.slice(0, 50) },
    { uploadId: "appended", records: n.durations.slice(0, 50) },
    { uploadId: "validated", records: n.durations.slice(0, 50), validateOnly: true },
    { uploadId: "broken", records: [{ ...bare(n.durations[0]), recordId: "broken", direction: 0 }] },
    {
      uploadId: "aside",
      records: [{ ...bare(n.durations[0]), recordId: "aside", calling: { kind: 1, value: "+4577777777" } }],
    },
  ],
  "DurationService/GetUpload": one({ uploadId: "appended" }),
  "DurationService/ListUploads": () => [{ pageSize: PAGE }, { state: 1, pageSize: PAGE }],
  "DurationService/ListRejects": one({ uploadId: "broken", pageSize: PAGE }),
  "DurationService/ListDurations": () => [
    { ...window(), pageSize: PAGE },
    { ...hour(), pageSize: PAGE },
    { ...window(), recordId: "d-7", pageSize: PAGE },
    { ...window(), state: 2, pageSize: PAGE },
  ],
  "ReconciliationService/GetReconciliationSummary": () => [{ ...days(), groupBy: [1, 2, 3, 4], pageSize: PAGE }],
  "ReconciliationService/ListDiscrepancies": () => [
    { pageSize: PAGE },
    { ...days(), pageSize: PAGE },
    { filter: { unresolved: true, minAbsoluteDeltaMs: 1_000n }, pageSize: PAGE },
  ],
  "ReconciliationService/ExplainCall": (n) => [
    { target: { case: "callId", value: `${n.carrierId}-call-10` } },
    { target: { case: "platformRecordId", value: "r-10" } },
    { target: { case: "carrierRecordId", value: "d-10" } },
    { target: { case: "discrepancyId", value: n.discrepancyId } },
  ],
  "ReconciliationService/WatchDiscrepancies": () => [
    { start: EARLIEST, end: HEAD },
    { start: EARLIEST, end: HEAD, filter: { unresolved: true } },
  ],
};

/** The same for the platform's methods. */
const OF_THE_PLATFORM: Requests = {
  "CarrierService/CreateCarrier": (n) => [
    { requestId: newRequestId(), carrierId: n.carrierId, carrier: { displayName: "x" } },
  ],
  "CarrierService/GetCarrier": (n) => [{ carrierId: n.carrierId }],
  "CarrierService/ListCarriers": () => [{ pageSize: 5 }, { region: "eu", pageSize: 5 }],
  "CarrierService/UpdateCarrier": (n) => [
    {
      requestId: newRequestId(),
      carrier: { carrierId: n.carrierId, sipDomain: "sip.example" },
      updateMask: { paths: ["sip_domain"] },
    },
  ],
  "CarrierService/SetNumberRanges": (n) => [
    { requestId: newRequestId(), carrierId: n.carrierId, prefixes: [n.number.slice(0, 5)], approvedNumbers: [] },
  ],
  "CarrierService/GetNumberRanges": (n) => [{ carrierId: n.carrierId }],
  "NumberService/GetNumber": (n) => [{ phoneNumber: n.spare }, { phoneNumber: n.spare, atTime: timestampFromMs(NOW) }],
  "NumberService/ListNumbers": (n) => [
    { carrierId: n.carrierId, pageSize: PAGE },
    { pageSize: 10 },
    { filter: { customerId: n.customers[1] }, pageSize: 10 },
  ],
  "NumberService/ListNumberHistory": (n) => [{ phoneNumber: n.spare }],
  "NumberService/AssignNumbers": (n) => [
    {
      requestId: newRequestId(),
      carrierId: n.carrierId,
      items: n.numbers
        .slice(-10, -5)
        .map((phoneNumber) => ({ phoneNumber, customerId: n.customerId, assigneeKind: 1, activationState: 2 })),
    },
  ],
  "NumberService/UnassignNumbers": (n) => [
    { requestId: newRequestId(), carrierId: n.carrierId, phoneNumbers: n.numbers.slice(-10, -8) },
  ],
  "NumberService/PortNumbers": (n) => [
    {
      requestId: newRequestId(),
      carrierId: n.carrierId,
      toCarrierId: "neighbour-1",
      phoneNumbers: n.numbers.slice(-5, -3),
      effectiveTime: fromNow(0),
    },
  ],
  "CdrService/IngestCdrs": (n) => [uploadFrames(`late-${n.carrierId}`, n.cdrs.slice(0, 200), n.carrierId)],
  "CdrService/GetCdr": (n) => [
    { name: { case: "callId", value: `${n.carrierId}-call-7` } },
    { name: { case: "recordId", value: "r-7" }, carrierId: n.carrierId },
    { name: { case: "recordId", value: "r-7" } },
  ],
  "CdrService/ListCdrs": (n) => [
    { carrierId: n.carrierId, ...window(), pageSize: PAGE },
    { carrierId: n.carrierId, ...window(), customerId: n.customerId, pageSize: PAGE },
    { carrierId: n.carrierId, ...window(), dialogCallId: `${n.carrierId}-d-9`, pageSize: PAGE },
  ],
  "ReconciliationService/GetReconciliationSummary": (n) => [
    { carrierId: n.carrierId, ...days(), groupBy: [1, 2], pageSize: PAGE },
  ],
  "ReconciliationService/ListDiscrepancies": (n) => [
    { carrierId: n.carrierId, ...days(), pageSize: PAGE },
    { carrierId: n.carrierId, pageSize: PAGE },
  ],
  "ReconciliationService/GetReconciliationStatus": (n) => [{ carrierIds: [n.carrierId] }, { pageSize: PAGE }],
  "ReconciliationService/ExplainCall": (n) => [
    { carrierId: n.carrierId, target: { case: "callId", value: `${n.carrierId}-call-10` } },
    { target: { case: "callId", value: `${n.carrierId}-call-10` } },
    { carrierId: n.carrierId, target: { case: "platformRecordId", value: "r-10" } },
    { carrierId: n.carrierId, target: { case: "carrierRecordId", value: "d-10" } },
    { carrierId: n.carrierId, target: { case: "discrepancyId", value: n.discrepancyId } },
  ],
  "UsageService/QueryUsage": (n) => [
    { customerId: n.customerId, ...days(), timeZone: "Etc/UTC", groupBy: [1, 2, 6], pageSize: PAGE },
    {
      customerId: n.customerId,
      ...days(),
      timeZone: "Etc/UTC",
      groupBy: [5],
      phoneNumbers: [n.number],
      pageSize: PAGE,
    },
  ],
  "UsageService/ExportUsage": (n) => [{ customerId: n.customerId, ...days(), timeZone: "Etc/UTC", groupBy: [1, 2, 6] }],
  "UsageService/ClosePeriod": (n) => [
    {
      requestId: newRequestId(),
      customerId: n.customerId,
      startDate: dayOf(NOW - 6 * DAY_MS),
      endDate: dayOf(NOW),
      timeZone: "Etc/UTC",
      maxPendingRatio: 1,
      force: true,
    },
  ],
  "UsageService/ListRestatements": (n) => [{ customerId: n.customerId }],
  "PrivacyService/ListRetentionPolicies": one({}),
  "PrivacyService/SetRetentionPolicy": (n) => [policyOf("DK", n.carrierId, 1, 401)],
  "PrivacyService/CreateHold": (n) => [
    holdOf(n, { case: "period", value: { startDate: dayOf(NOW - DAY_MS), endDate: dayOf(NOW), trunkId: "trunk-1" } }),
    holdOf(n, {
      case: "records",
      value: {
        records: n.cdrs
          .slice(3, 9)
          .map(({ recordId, recordDate }) => ({ side: PLATFORM_SIDE, record: { recordId, recordDate } })),
      },
    }),
  ],
  "PrivacyService/ReleaseHold": (n) => [{ requestId: newRequestId(), holdId: n.holdId, releaseNote: "over" }],
  "PrivacyService/ListHolds": (n) => [{ carrierId: n.carrierId }, {}],
  "PrivacyService/ErasePhoneNumber": () => [],
  "PrivacyService/GetErasure": (n) => [{ erasureId: n.erasureId }],
  "PrivacyService/ExportPhoneNumber": (n) => [
    {
      phoneNumber: n.number,
      startTime: timestampFromMs(NOW - 6 * DAY_MS),
      endTime: timestampFromMs(NOW - 1_000),
      role: 1,
      caseReference: "case 1",
      verifiedBy: "desk",
    },
  ],
  "PrivacyService/ListDisclosures": (n) => [
    { carrierId: n.carrierId, subject: { case: "period", value: days() }, pageSize: PAGE },
    {
      carrierId: n.carrierId,
      subject: {
        case: "record",
        value: { side: PLATFORM_SIDE, record: { recordId: "r-7", recordDate: n.cdrs[7]?.recordDate } },
      },
    },
    { carrierId: n.carrierId, subject: { case: "number", value: { phoneNumber: n.number, ...window() } } },
  ],
  "PrivacyService/ListAuditEvents": (n) => [{ carrierId: n.carrierId, pageSize: PAGE }, { pageSize: PAGE }],
  "PrivacyService/VerifyAuditLog": (n) => [{ carrierId: n.carrierId }, {}],
};

function holdOf({ carrierId }: Names, target: object): object {
  const texts = { caseReference: "case 7", owner: "legal" };
  return { requestId: newRequestId(), hold: { carrierId, target, reason: 1, endTime: fromNow(DAY_MS), ...texts } };
}

function uploadFrames(uploadId: string, records: readonly object[], carrierId: string | undefined): object {
  const open = { uploadId, acknowledgedOffset: 0n };
  return [
    { frame: { case: "open", value: carrierId === undefined ? open : { carrierId, open } } },
    { frame: { case: "batch", value: { firstOffset: 0n, records } } },
  ];
}

/**
 * Calls every method of the contract about a carrier, with every page of what is listed. A new
 * method needs a request here.
 */
export async function callEverything(exchange: Exchange, carrier: WorldCarrier): Promise<void> {
  const names = namesOf(carrier);
  for (const who of ["carrier", "platform"] as const) {
    const transport = await (who === "carrier"
      ? exchange.carrierTransport(carrier.carrierId)
      : exchange.platformTransport());
    for (const method of await listMethods(who)) {
      const requests = (who === "carrier" ? OF_CARRIERS : OF_THE_PLATFORM)[methodName(method)];
      if (!requests) throw new Error(`no request of ${methodName(method)}`);
      for (const request of requests(names)) keepIds(names, await callPages(transport, method, request as AnyRequest));
    }
  }
}

/** What later requests name, from the answers of those before. */
function keepIds(names: { discrepancyId: string; holdId: string }, answers: readonly string[]): void {
  for (const id of ["discrepancyId", "holdId"] as const)
    names[id] ||= answers.map((answer) => answer.match(`"${id}":"([^"]+)"`)?.[1] ?? "").find(Boolean) ?? "";
}

function namesOf(carrier: WorldCarrier) {
  const at = (index: number) => carrier.numbers.at(index) ?? "";
  const made = { discrepancyId: "", holdId: "", erasureId: "none" };
  return { ...carrier, number: at(0), spare: at(-15), customerId: carrier.customers[0] ?? "", ...made };
}

async function callPages(transport: Transport, method: DescMethod, request: AnyRequest): Promise<string[]> {
  const answers: string[] = [];
  for (let asked: AnyRequest | undefined = request; asked; ) {
    const outcome = await callAny(transport, method, asked, 60_000);
    answers.push(...outcome.answers);
    asked = nextPage(asked, outcome);
  }
  return answers;
}

function nextPage(request: AnyRequest, { answers }: CallOutcome): AnyRequest | undefined {
  if (Array.isArray(request) || answers.length !== 1) return undefined;
  const { nextPageToken } = JSON.parse(answers[0] ?? "{}") as { nextPageToken?: string };
  return nextPageToken ? ({ ...request, pageToken: nextPageToken } as AnyRequest) : undefined;
}
