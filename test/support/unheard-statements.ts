/**
 * Files whose statements run at the start, by a timer, or as the owner of the tables: over few
 * rows.
 */
export const OUT_OF_THE_WAY: readonly string[] = [
  "epochs.ts",
  "feed-clock.ts",
  "installation.ts",
  "isolation.ts",
  "lost-entries.ts",
  "migrate.ts",
  "partitions.ts",
  "seal-keys.ts",
  "serving-processes.ts",
  "shared-files.ts",
  "carrier-statistics.ts",
  "open-disclosures.ts",
  "server-facts.ts",
  "lapsed-leases.ts",
  "run.ts",
  "number-schedule.ts",
  "timeline.ts",
  "retention-partitions.ts",
];

/**
 * Statements that take the first rows of what they have sorted, each with why that is little.
 * Whoever makes one of them read in order takes it out; new ones need a reason.
 */
export const SORTED: Readonly<Record<string, string>> = {
  "audit-events.ts/listChains": "as many as there are carriers",
  "carriers.ts/listCarriers": "as many as there are carriers, in an order that no index has",
  "erasures.ts/readErasureEntries": "erasures, which people ask for one by one, at the start",
  "erasures.ts/findErasuresToRun": "erasures, which people ask for one by one",
  "explain-targets.ts/findCarriersOfCall": "as many as there are carriers",
  "holds.ts/listHolds": "holds, which people make one by one",
  "reconcile-progress.ts/listCarriersToReconcile": "as many as there are carriers",
  "consumers.ts/selectConsumers": "a hundred at most",
  "feed-observations.ts/readConsumerLags": "the consumers of all carriers, a hundred each at most, for a metric",
  "usage-retention.ts/deleteOldPeriod": "closed periods that are past their retention",
  "number-history.ts/readNumberHistory": "one number's history",
  "number-port-rows.ts/findDuePorts": "the ports of the numbers that are asked for, or those that are due",
  "number-schedule.ts/findDueNumbers": "what is due at one carrier",
  "number-schedule.ts/readSchedule": "what is scheduled next",
  "cdr-lists.ts/listKept": "the records of one id; a list of a period is in order",
  "durations.ts/read": "the records of one id; a list of a period is in order",
  "explain-targets.ts/findExplainedRecords": "the records of one id",
  "call-results.ts/findCalls": "the calls of one key",
  "sum-upkeep.ts/chooseMarks": "the calls of one number that has more than a step takes",
  "explain-targets.ts/readOpenCalls": "the open calls of two parties, of 30 hours",
  "reconciliation-summary.ts/summarizeReconciliation": "the few cells that the calls were summed up in",
  "feed-page.ts/readFeedPage": "a run of sequences that is no longer than a page may be",
  "disclosure-lists.ts/findDisclosures": "counted before: what is more than a few is read in order",
  "erase-calls.ts/findRecordsOf": "the records of one day, of which a number was in few, and VOIDs of what never came",
  "erase-calls.ts/readRevisions": "the revisions of records of a page",
  "erase-copies.ts/findHeldOf": "copies under holds, of which a number was in few",
  "export-discrepancies.ts/findQuarantinedOfNumber":
    "what is in quarantine, of both kinds, which no index has in one order",
  "erase-results.ts/findResultsOf": "the results of one day, of which a number was in few",
  "export-phone-number.ts/readFound": "the records of a page",
  "usage-restatements.ts/compareLines": "the lines of one period that changed",
  "usage-restatements.ts/readChangedCalls": "the calls of the numbers that changed, since they were compared",
  "age-uploads.ts/sealIdle": "uploads that nobody has used for 30 days",
  "verify-reconciliation.ts/readMisplaced": "one day's records, which are counted as a whole",
};
