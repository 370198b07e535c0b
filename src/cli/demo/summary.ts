import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { sumOf } from "./counts.ts";
import type { CarrierVerdict, DemoVerdict } from "./judge.ts";
import type { CustomerUsage } from "./reconciliation.ts";

/** What `tandem demo --json` prints: sums over the carriers. */
export function summarize({ carriers, reconciliation, usage, ok }: DemoVerdict) {
  const sum = (count: (carrier: CarrierVerdict) => number) => sumOf(carriers, count);
  const verdicts = (verdict: "accepted" | "duplicate" | "conflict" | "rejected" | "quarantined") =>
    sum(({ trace }) => Number(trace.upload.receipt.counts?.[verdict] ?? 0n));
  return {
    numbers: {
      provisioned: sum(({ trace }) => countDone(trace.provisioned)),
      assigned: sum(({ trace }) => countDone(trace.assigned)),
    },
    // Calls, not revisions. `resumes` counts the carriers' followers and the platform's uploads.
    cdrs: {
      ingested: sum(countIngested),
      delivered: sum(countDelivered),
      lost: sum(({ cdrLog }) => cdrLog.lost.length),
      duplicated: sum(({ cdrLog }) => cdrLog.duplicated.length),
      resumes: sum(({ trace }) => trace.consumerResumes + trace.ingest.resumes),
    },
    // Records by their verdicts; some of the quarantined were released later.
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
    // Of the one more carrier: its calls, the faults that were planted in them, and what is untrue.
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

/** Over all customers and carriers, in whole minutes. */
function summarizeUsage(usage: readonly CustomerUsage[]) {
  const connectedMs = sumOf(usage, (customer) => customer.connectedMs);
  const share = connectedMs === 0 ? 0 : sumOf(usage, (customer) => customer.carrierSourcedMs) / connectedMs;
  return {
    customers: usage.length,
    calls: sumOf(usage, ({ calls }) => calls),
    minutes: Math.round(connectedMs / 60_000),
    /** Of the connected time, what is by the carriers' clocks. */
    carrier_sourced_share: Number(share.toFixed(4)),
  };
}

/** How many calls the platform was told are safe. */
export function countIngested({ trace: { plan, ingest } }: CarrierVerdict): number {
  return countCalls(plan.cdrs.slice(0, Number(ingest.receipt.finalOffset)));
}

/** How many calls the carrier has applied. */
export function countDelivered({ trace: { log } }: CarrierVerdict): number {
  return countCalls(log.flatMap((run) => run.entries));
}

function countCalls(records: readonly { readonly recordDate: string; readonly recordId: string }[]): number {
  return new Set(records.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`)).size;
}

/** How many items of a batch were done. */
export function countDone(outcomes: readonly NumberOutcome[]): number {
  return outcomes.filter(({ result }) => result.case === "number").length;
}
