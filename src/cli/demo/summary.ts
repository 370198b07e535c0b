import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { CarrierVerdict, DemoVerdict } from "./judge.ts";
import type { CustomerUsage } from "./reconciliation.ts";

/** What `tandem demo --json` prints. */
export interface DemoSummary {
  readonly numbers: { readonly provisioned: number; readonly assigned: number };
  /**
   * Calls, not their revisions. `resumes` counts the carriers' followers and the platform's
   * uploads.
   */
  readonly cdrs: {
    readonly ingested: number;
    readonly delivered: number;
    readonly lost: number;
    readonly duplicated: number;
    readonly resumes: number;
  };
  /** Records by their verdicts; some of the quarantined were released later. */
  readonly durations: {
    readonly sent: number;
    readonly accepted: number;
    readonly duplicate: number;
    readonly conflict: number;
    readonly rejected: number;
    readonly quarantined: number;
    readonly lost: number;
    readonly resumes: number;
  };
  /**
   * Calls of one more carrier by what comparing both sides came to, faults that were planted in
   * them, and what is not the truth.
   */
  readonly reconciliation: {
    readonly by_status: Readonly<Record<string, number>>;
    readonly by_cause: Readonly<Record<string, number>>;
    readonly planted: number;
    readonly found: number;
    readonly wrong: number;
  };
  /**
   * Over all customers and carriers, in whole minutes; the share of the connected time that is by
   * the carriers' clocks.
   */
  readonly usage: {
    readonly customers: number;
    readonly calls: number;
    readonly minutes: number;
    readonly carrier_sourced_share: number;
  };
  readonly ok: boolean;
}

/** Sums up over the carriers. */
export function summarize({ carriers, reconciliation, usage, ok }: DemoVerdict): DemoSummary {
  const sum = (count: (carrier: CarrierVerdict) => number) =>
    carriers.reduce((total, carrier) => total + count(carrier), 0);
  const verdicts = (verdict: "accepted" | "duplicate" | "conflict" | "rejected" | "quarantined") =>
    sum(({ trace }) => Number(trace.upload.receipt.counts?.[verdict] ?? 0n));
  return {
    numbers: {
      provisioned: sum(({ trace }) => countDone(trace.provisioned)),
      assigned: sum(({ trace }) => countDone(trace.assigned)),
    },
    cdrs: {
      ingested: sum(countIngested),
      delivered: sum(countDelivered),
      lost: sum(({ cdrLog }) => cdrLog.lost.length),
      duplicated: sum(({ cdrLog }) => cdrLog.duplicated.length),
      resumes: sum(({ trace }) => trace.consumerResumes + trace.ingest.resumes),
    },
    durations: {
      sent: sum(({ trace }) => Number(trace.upload.receipt.finalOffset)),
      accepted: verdicts("accepted"),
      duplicate: verdicts("duplicate"),
      conflict: verdicts("conflict"),
      rejected: verdicts("rejected"),
      quarantined: verdicts("quarantined"),
      lost: sum(({ lostDurations }) => lostDurations.length),
      resumes: sum(({ trace }) => trace.upload.resumes),
    },
    reconciliation: {
      by_status: Object.fromEntries(reconciliation.callsByStatus),
      by_cause: Object.fromEntries(reconciliation.callsByCause),
      planted: reconciliation.planted,
      found: reconciliation.found,
      wrong: reconciliation.wrong.length,
    },
    usage: summarizeUsage(usage),
    ok,
  };
}

function summarizeUsage(usage: readonly CustomerUsage[]): DemoSummary["usage"] {
  const sum = (count: (customer: CustomerUsage) => number) =>
    usage.reduce((total, customer) => total + count(customer), 0);
  const connectedMs = sum((customer) => customer.connectedMs);
  const share = connectedMs === 0 ? 0 : sum((customer) => customer.carrierSourcedMs) / connectedMs;
  return {
    customers: usage.length,
    calls: sum(({ calls }) => calls),
    minutes: Math.round(connectedMs / 60_000),
    carrier_sourced_share: Number(share.toFixed(4)),
  };
}

/** How many calls the platform was told are safe. */
export function countIngested({ trace: { carrier, ingest } }: CarrierVerdict): number {
  const committed = carrier.plan.cdrs.slice(0, Number(ingest.receipt.finalOffset));
  return new Set(committed.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`)).size;
}

/** How many calls the carrier has applied. */
export function countDelivered({ trace: { carrier } }: CarrierVerdict): number {
  const entries = carrier.consumer.log.flatMap((run) => run.entries);
  return new Set(entries.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`)).size;
}

/** How many items of a batch were done. */
export function countDone(outcomes: readonly NumberOutcome[]): number {
  return outcomes.filter(({ result }) => result.case === "number").length;
}
