import { eachCarrier } from "../carriers/carriers.ts";
import type { Database } from "../database/database.ts";
import { type Finding, Findings, runCheck, type Verification, type VerificationWatch } from "./verification.ts";
import { verifyAuditChains } from "./verify-audit.ts";
import { verifyEntries, verifyKeys } from "./verify-feeds.ts";
import { verifyClaims, verifyNumbers } from "./verify-numbers.ts";
import { verifyJudged, verifyResults } from "./verify-reconciliation.ts";
import { verifySummary } from "./verify-summary.ts";
import { verifyTallies } from "./verify-tallies.ts";
import { verifyUploads } from "./verify-uploads.ts";
import { verifySums } from "./verify-usage.ts";

/**
 * Verifies one carrier, page by page, each from its own snapshot, beside writers. Empty: all is
 * well.
 * @throws the signal's reason when it is aborted.
 */
export async function verifyCarrier(
  db: Database,
  carrierId: string,
  signal: AbortSignal,
  watch?: VerificationWatch,
): Promise<Finding[]> {
  const { report, list } = new Findings(carrierId);
  for (const [check, verify] of CARRIER_CHECKS) {
    await runCheck({ carrierId, check, signal, watch }, (turn) => verify({ db, carrierId, signal, report, turn }));
  }
  return list;
}

const CARRIER_CHECKS: readonly (readonly [check: string, verify: (verification: Verification) => Promise<void>])[] = [
  ["entries and their keys", verifyEntries],
  ["keys and their entries", verifyKeys],
  ["results and their records", verifyResults],
  ["judged records and their results", verifyJudged],
  ["uploads and their verdicts", verifyUploads],
  ["numbers and their claims", verifyNumbers],
  ["tallies and what they count", verifyTallies],
  ["sums of usage and their calls", verifySums],
  ["sums of the summary and their calls", verifySummary],
];

/** Verifies all carriers, audit chains and claims. Throws CheckFailed if a check cannot run. */
export async function verifyAll(db: Database, signal: AbortSignal, watch?: VerificationWatch): Promise<Finding[]> {
  const findings: Finding[] = [];
  signal.throwIfAborted();
  for await (const { carrierId } of eachCarrier(db))
    findings.push(...(await verifyCarrier(db, carrierId, signal, watch)));
  await runCheck({ carrierId: "", check: "the chains of the audit log", signal, watch }, async (turn) => {
    turn();
    findings.push(...(await verifyAuditChains(db, signal)));
  });
  const claims = new Map<string, Findings>();
  await runCheck({ carrierId: "", check: "claims on numbers", signal, watch }, (turn) =>
    verifyClaims({ db, signal, turn }, (carrierId, check, detail) => {
      const ofCarrier = claims.get(carrierId) ?? new Findings(carrierId);
      claims.set(carrierId, ofCarrier);
      ofCarrier.report(check, detail);
    }),
  );
  return [...findings, ...[...claims.values()].flatMap((ofCarrier) => ofCarrier.list)];
}
