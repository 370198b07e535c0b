import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ingestCdrs } from "../../client/ingest-cdrs.ts";
import type { UploadResult } from "../../client/upload.ts";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { type AssignedNumber, assignedNumbers } from "../../simulator/world.ts";
import { CutsAt, type CuttableConnection, DEMO_OPTIONS, openCuttable } from "./cuttable-connection.ts";
import type { CarrierPlan } from "./plan.ts";

/** The platform's side of the demo. */
export class DemoPlatform implements Disposable {
  readonly #url: string;
  readonly #token: string;
  readonly #sinceMs: number;
  readonly #line: CuttableConnection;

  constructor(url: string, token: string, sinceMs: number) {
    this.#url = url;
    this.#token = token;
    this.#sinceMs = sinceMs;
    this.#line = openCuttable(url, token);
  }

  /** Onboards a carrier. */
  async onboard({ carrier }: CarrierPlan, signal: AbortSignal): Promise<void> {
    const { carrierId, displayName, legalCountry, timeZone, sipDomain } = carrier;
    await this.#line.client(CarrierService).createCarrier(
      {
        requestId: `demo-create-${carrierId}`,
        carrierId,
        carrier: { displayName, legalCountry, timeZone, sipDomain, region: "demo" },
      },
      { signal },
    );
  }

  /** Assigns the carrier's numbers to their customers, but for the late one. */
  assign(plan: CarrierPlan, signal: AbortSignal): Promise<NumberOutcome[]> {
    return this.#assign(plan, (number) => number.phoneNumber !== plan.lateNumber, "assign", signal);
  }

  /** Assigns the late one, from the same day on as the others. */
  assignLate(plan: CarrierPlan, signal: AbortSignal): Promise<NumberOutcome[]> {
    return this.#assign(plan, (number) => number.phoneNumber === plan.lateNumber, "assign-late", signal);
  }

  /** Ingests the carrier's records, over a line of its own that is cut with batches on the way. */
  async ingest({ carrier, cdrs }: CarrierPlan, signal: AbortSignal): Promise<UploadResult> {
    using line = openCuttable(this.#url, this.#token);
    const cuts = new CutsAt(line, cdrs.length, [0.35, 0.7]);
    return await ingestCdrs(line.client(CdrService), {
      carrierId: carrier.carrierId,
      uploadId: `demo-${carrier.carrierId}`,
      source: {
        read: (offset, limit) => {
          cuts.passed(offset);
          return cdrs.slice(offset, offset + limit);
        },
      },
      batchRecords: Math.max(1, Math.min(100, Math.ceil(cdrs.length / 20))),
      ...DEMO_OPTIONS,
      signal,
    });
  }

  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]();
  }

  async #assign(
    { carrier }: CarrierPlan,
    isMeant: (number: AssignedNumber) => boolean,
    what: string,
    signal: AbortSignal,
  ): Promise<NumberOutcome[]> {
    const { carrierId } = carrier;
    const items = assignedNumbers(carrier)
      .filter(isMeant)
      .map(({ phoneNumber, assignment }) => ({
        phoneNumber,
        ...assignment,
        effectiveTime: timestampFromMs(this.#sinceMs),
      }));
    if (items.length === 0) return [];
    const request = { requestId: `demo-${what}-${carrierId}`, carrierId, items };
    return (await this.#line.client(NumberService).assignNumbers(request, { signal })).outcomes;
  }
}
