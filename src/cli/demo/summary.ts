import { sumOf } from "./counts.ts";
import type { CarrierVerdict, DemoVerdict } from "./judge.ts";
import type { CustomerUsage } from "./reconciliation.ts";

/** What `tandem demo --json` prints: sums over the carriers. */
export function summarize({ carriers, reconciliation, usage, ok }: DemoVerdict) {
  const sum = (count: (figures: CarrierVerdict["figures"]) => number) =>
    sumOf(carriers, ({ figures }) => count(figures));
  return {
    numbers: {
      provisioned: sum(({ numbers }) => numbers.provisioned),
      assigned: sum(({ numbers }) => numbers.assigned),
    },
    // Calls, not revisions. `resumes` counts the carriers' followers and the platform's uploads.
    cdrs: {
      ingested: sum(({ calls }) => calls.calls),
      delivered: sum(({ calls }) => calls.delivered),
      lost: sum(({ calls }) => calls.lost),
      duplicated: sum(({ calls }) => calls.doubled),
      resumes: sum(({ calls }) => calls["cut off"]),
    },
    // Records by their verdicts; some of the quarantined were released later.
    durations: {
      sent: sum(({ durations }) => durations.sent),
      accepted: sum(({ durations }) => durations.accepted),
      duplicate: sum(({ durations }) => durations.duplicate),
      conflict: sum(({ durations }) => durations.conflict),
      rejected: sum(({ durations }) => durations.rejected),
      quarantined: sum(({ durations }) => durations.quarantined),
      lost: sum(({ durations }) => durations.lost),
      resumes: sum(({ durations }) => durations["cut off"]),
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
