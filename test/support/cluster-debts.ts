import type { ClusterRule } from "./cluster-rules.ts";

/**
 * Functions of the store whose statements a cluster would refuse or send to every server, with why
 * they do so. The list may only shrink: whoever repairs one takes it out, and a new one is to be
 * made otherwise. None is on the way of a record that comes or is read, but findByIds on that of
 * the reconciler.
 */
export const CLUSTER_DEBTS: { readonly [Rule in ClusterRule]: Readonly<Record<string, readonly string[]>> } = {
  "level without the carrier": {
    "right: the platform asks about all carriers, so every server has to answer": [
      "audit-events.ts/listChains",
      "carriers.ts/listCarriers",
      "carriers.ts/listLegalCountries",
      "cdr-lists.ts/findCarriersOfCdr",
      "explain-targets.ts/findCarriersOfCall",
      "feed-observations.ts/readConsumerLags",
      "feed-observations.ts/readObservedFeeds",
      "holds.ts/findCarrierOfHold",
      "holds.ts/listHolds",
      "number-feed.ts/scanNumbers",
      "retention-partitions.ts/readFloors",
      "summed-usage.ts/readSumSource",
      "usage-marks.ts/readMarksIn",
    ],
    "right: a timer looks for the carriers that have something to do, once for all of them": [
      "age-uploads.ts/forgetVerdicts",
      "age-uploads.ts/sealIdle",
      "erasures.ts/areAnyUnwritten",
      "erasures.ts/findCarriersWithout",
      "erasures.ts/findErasuresToRun",
      "erasures.ts/readErasureCarriers",
      "number-schedule.ts/readSchedule",
      "quarantine.ts/listWaitingCarriers",
      "reconcile-progress.ts/listCarriersToReconcile",
      "reconcile-progress.ts/listSetAside",
      "reconcile-progress.ts/readIdleRest",
    ],
    "a timer writes for many carriers at once; on a cluster it has to find them first, and go carrier by carrier": [
      "reconcile-progress.ts/settleIdleCarriers",
      "request-log.ts/deleteOldResponses",
    ],
    "right: a number is looked for at whoever holds or held it": [
      "number-history.ts/readHolderRow",
      "number-holders.ts/readHolders",
      "usage-marks.ts/findOthersMarked",
      "number-history.ts/readNumberHistory",
      "number-owners.ts/findOverlaps",
      "number-port-rows.ts/findDuePorts",
      "number-port-rows.ts/readPortsOfNumber",
    ],
    "joins calls with the numbers of a customer or the lines of a period, which may be of several carriers; on a cluster numbers come first, by a statement of their own":
      [
        "erase-results.ts/rewriteResults",
        "result-sums.ts/readAdded",
        "usage-periods.ts/insertClosedLines",
        "usage-restatements.ts/compareLines",
        "usage-restatements.ts/findChangedNumbers",
        "usage-restatements.ts/readChangedCalls",
        "usage-restatements.ts/readChangedNumbers",
        "usage-retention.ts/deleteOldPeriod",
        "usage.ts/readAllUsageGroups",
        "usage.ts/readCarrierUsage",
        "usage.ts/readUsageCarriers",
        "usage.ts/readUsageGroups",
      ],
    "the carrier stands outside: beside the id, PostgreSQL reads the carrier's whole index too, for each id (100,000 entries and 7 ms in a try, for 0.07 ms); waits for an index of carrier and id":
      ["call-results.ts/findByIds"],
    "joins claims, which lie by number, with numbers, which lie by carrier; on a cluster that is two steps": [
      "number-owners.ts/sweepClaims",
      "verify-numbers.ts/readClaimPage",
      "verify-numbers.ts/readUnclaimed",
    ],
  },
  "clock in UPDATE": {},
  "several statements in a message": {},
  "INSERT from arrays alone": {
    "right: claims lie by number, so those of one call on many servers, and no row lies beside them; ON CONFLICT keeps them from going by COPY":
      ["number-owners.ts/claimNumbers", "number-owners.ts/moveClaims"],
  },
};
