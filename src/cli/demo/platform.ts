import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ingestCdrs } from "../../client/ingest-cdrs.ts";
import type { UploadResult } from "../../client/upload.ts";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { AssignedNumber, SimulatedCarrier } from "../../simulator/world.ts";
import { cutsAt, DEMO_OPTIONS, type Line } from "./line.ts";
import type { CarrierPlan } from "./plan.ts";

export async function createCarrier(
  line: Line,
  { carrierId, displayName, legalCountry, timeZone, sipDomain }: SimulatedCarrier,
  thresholds?: { netRatio: number; grossRatio: number; unmatchedRatio: number },
): Promise<void> {
  const agreed = thresholds === undefined ? {} : { thresholds };
  const carrier = { displayName, legalCountry, timeZone, sipDomain, region: "demo", ...agreed };
  const request = { requestId: `demo-create-${carrierId}`, carrierId, carrier };
  await line.client(CarrierService).createCarrier(request);
}

/** Assigns numbers to their customers, from a time on. `what` is of the request's id. */
export async function assignNumbers(
  line: Line,
  { carrierId }: SimulatedCarrier,
  what: "assign" | "assign-late",
  { numbers, sinceMs }: { readonly numbers: readonly AssignedNumber[]; readonly sinceMs: number },
): Promise<NumberOutcome[]> {
  if (numbers.length === 0) return [];
  const effectiveTime = timestampFromMs(sinceMs);
  const items = numbers.map(({ phoneNumber, assignment }) => ({ phoneNumber, ...assignment, effectiveTime }));
  const request = { requestId: `demo-${what}-${carrierId}`, carrierId, items };
  return (await line.client(NumberService).assignNumbers(request)).outcomes;
}

/** Ingests a carrier's records over a line that is cut with batches on the way. */
export async function ingestCalls(line: Line, { carrier: { carrierId }, cdrs }: CarrierPlan): Promise<UploadResult> {
  const cutAt = cutsAt(line, cdrs.length, [0.35, 0.7]);
  return await ingestCdrs(line.client(CdrService), {
    carrierId,
    uploadId: `demo-${carrierId}`,
    source: {
      read: (offset, limit) => {
        cutAt(offset);
        return cdrs.slice(offset, offset + limit);
      },
    },
    batchRecords: Math.max(1, Math.min(100, Math.ceil(cdrs.length / 20))),
    ...DEMO_OPTIONS,
    signal: line.signal,
  });
}
