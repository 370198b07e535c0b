import type { Config } from "../../config/config.ts";
import { RULE_VERSION } from "../../domain/matching/result.ts";
import { isoFromMicros } from "../../domain/time/instant.ts";
import { checkSharedJournal } from "../../erasure/shared-journal.ts";
import { type Database, systemTransaction } from "../../store/database/database.ts";
import { countServing } from "../../store/database/serving-processes.ts";
import { readSharedFiles } from "../../store/database/shared-files.ts";
import { type LapsedLease, listLapsedLeases } from "../../store/doctor/lapsed-leases.ts";
import { listCarriersToReconcile, listSetAside } from "../../store/reconciliation/reconcile-progress.ts";
import { RECONCILE_JOB } from "../../store/reconciliation/turn-leases.ts";
import { findSigningKey, hasSigningKey, listRetiredKeys } from "../../trust/signing-key.ts";
import { countOf } from "../shared/output.ts";
import { examine, type Finding, type Findings } from "./finding.ts";

/** Most carriers or leases that are told of one by one. */
const MOST_TOLD = 20;
/** Every job comes round sooner, seconds: retention every hour, or as set, at most a day. */
const ANY_JOB_S = 86_400;

/** Looks at the keys that all processes share. */
export async function checkKeys(config: Config, db: Database): Promise<readonly Finding[]> {
  const signing = await examine("signing key", (findings) => checkSigningKey(config, db, findings));
  const erasure = await examine("erasure key", async (findings) => {
    try {
      if (await checkSharedJournal(db, config))
        findings.ok("the key and the journal of erasures are those that all processes share");
      else findings.note("there is none yet: the first server makes it");
    } catch (error) {
      findings.failFor(error, "put back the file that all processes share");
    }
  });
  return [...signing, ...erasure];
}

async function checkSigningKey({ tokens, dataDir }: Config, db: Database, findings: Findings): Promise<void> {
  if (tokens.keys.kind !== "own") {
    findings.ok("not used: others issue the tokens");
    return;
  }
  const shared = (await systemTransaction(db, readSharedFiles)).get("signing-key");
  const copy = `copy the folder \`keys\` from a process that has it. If it is lost, stop every process and run \`tandem keys adopt\``;
  if (!(await hasSigningKey(dataDir))) {
    if (shared === undefined) findings.note(`${dataDir} has none yet: the first server makes it`);
    else findings.fail(`${dataDir} has none, and the processes on this database share one`, copy);
    return;
  }
  const { keyId, lineage } = await findSigningKey(dataDir);
  if (shared !== undefined && shared !== lineage)
    findings.fail(`${dataDir} has another than the processes on this database share`, copy);
  else findings.ok(`key ${keyId} signs; it does not expire (\`tandem token rotate\` replaces it)`);
  for (const { keyId: old, until } of await listRetiredKeys(dataDir))
    findings.note(`tokens of the old key ${old} are accepted until ${until.slice(0, 19)}Z`);
}

/** Looks for leases that nobody holds any more, and for calls that are set aside. */
export async function checkJobs(db: Database): Promise<readonly Finding[]> {
  const leases = await examine("leases", async (findings) => {
    const { lapsed, waiting, serving } = await systemTransaction(db, async (tx) => ({
      lapsed: await listLapsedLeases(tx, MOST_TOLD),
      waiting: new Set(await listCarriersToReconcile(tx, RULE_VERSION, 1_000)),
      serving: await countServing(tx),
    }));
    findings.note(
      serving === 0
        ? "no process serves at the moment"
        : `${countOf(serving, "process", "processes")} of Tandem on this database`,
    );
    for (const lease of lapsed) tellLease(findings, lease, { isWaiting: waiting.has(lease.carrierId), serving });
    if (lapsed.length === 0) findings.ok("every lease is held or given back");
  });
  const setAside = await examine("reconciliation", async (findings) => {
    const carriers = await systemTransaction(db, (tx) => listSetAside(tx, MOST_TOLD));
    for (const carrierId of carriers)
      findings.warn(
        `calls of ${carrierId} are set aside: their results did not settle`,
        `tandem reconcile retry ${carrierId}`,
      );
    if (carriers.length === 0) findings.ok("no calls are set aside");
  });
  return [...leases, ...setAside];
}

function tellLease(
  findings: Findings,
  { carrierId, job, holder, untilTime, lapsedSeconds }: LapsedLease,
  { isWaiting, serving }: { isWaiting: boolean; serving: number },
): void {
  const whose = carrierId === "" ? "" : ` for ${carrierId}`;
  const ended = `${isoFromMicros(untilTime).slice(0, 19)}Z`;
  const told = `nobody holds the lease of the job ${job}${whose}: ${holder} ended without giving it back, at ${ended}`;
  const isReconcile = job === RECONCILE_JOB || job.startsWith(`${RECONCILE_JOB}/`);
  const isDue = isReconcile ? isWaiting : lapsedSeconds > ANY_JOB_S;
  if (!isDue) {
    findings.note(told, "nothing is due: the next process to do the job takes it over");
    return;
  }
  const setting = isReconcile ? "TANDEM_RECONCILE_INTERVAL_MS" : "TANDEM_RETENTION_INTERVAL_MS (for retention)";
  findings.warn(
    `${told}, and there is work`,
    serving === 0
      ? "start a server: it takes the job over"
      : `let one process do the job: ${setting} must not be 0 in all of them; if it is not, look into the logs of that process`,
  );
}
