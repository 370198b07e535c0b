import { Command } from "commander";
import type { Finding, Severity } from "./doctor/finding.ts";
import { csvOption } from "./shared/csv-option.ts";
import { printCsv } from "./shared/csv-output.ts";
import { untilInterrupted } from "./shared/following.ts";
import { countOf, formatJson, styled } from "./shared/output.ts";
import { tellSlowly } from "./shared/progress.ts";
import { type StoreOptions, withStoreOptions } from "./shared/store-options.ts";
import { parseWhole } from "./shared/values.ts";
import { hang } from "./terminal/width.ts";

/** Exit code when there are warnings and no errors. */
const EXIT_WARNINGS = 4;

type DoctorOptions = StoreOptions & { json?: true; csv?: true; minFree: number };

/** `tandem doctor`: looks at what a server stands on, and says what to mend and how. */
export function doctorCommand(): Command {
  return withStoreOptions(new Command("doctor"))
    .option(
      "--min-free <GiB>",
      "less room than this on a disk is an error, and four times this a warning",
      parseWhole(0, 1_000_000),
      1,
    )
    .option("--json", "print JSON: {ok, errors, warnings, findings}")
    .addOption(csvOption())
    .addHelpText(
      "after",
      `
Runs beside a server, before its start or after its failure, with the settings that the server has. It changes nothing.
It looks at the settings, at files that others can read, certificates and keys with their ends, the disk, the database
(version, distance, roles, isolation, extensions), migrations, partitions, clocks, the timeline, and leases that nobody
holds. docs/cli.md lists each check.

Exit codes: 0 all is well, 4 warnings only, 1 an error: a server does not start, or does not keep what it takes.

Examples:
  tandem doctor
  tandem doctor --json`,
    )
    .action(async (options: DoctorOptions) => {
      const found = await examineAll(options);
      const count = (severity: Severity) => found.filter((finding) => finding.severity === severity).length;
      const [errors, warnings] = [count("error"), count("warning")];
      if (options.json) console.log(formatJson({ ok: errors === 0, errors, warnings, findings: found }));
      else if (options.csv) printCsv(["check", "severity", "found", "remedy"].map(columnOf), found);
      else print(found, errors, warnings);
      if (errors > 0) process.exitCode = 1;
      else if (warnings > 0) process.exitCode = EXIT_WARNINGS;
    });
}

async function examineAll(options: DoctorOptions): Promise<Finding[]> {
  const found: Finding[] = [];
  const add = (more: readonly Finding[]) => void found.push(...more);
  using progress = tellSlowly();
  // Loaded only here: a server's worth of modules.
  const files = await import("./doctor/files.ts");
  progress.tell("looking at the settings");
  const { config, left } = await files.checkSettings(options, add);
  if (!config) return found;
  add(await files.checkDataFolder(config));
  add(await files.checkExposures(config));
  add(await files.checkCertificates(config));
  progress.tell("asking the token issuer for its keys");
  add(await files.checkIssuer(config));
  add(await files.checkDisk(config, options.minFree));
  // Another database than the one that was meant says nothing.
  if (
    left.has("TANDEM_DATABASE_URL") ||
    found.some(({ check, severity }) => check === "data folder" && severity === "error")
  )
    return found;
  progress.tell("asking the database");
  await using closers = new AsyncDisposableStack();
  const database = await import("./doctor/database.ts");
  const { db, findings } = await database.checkServer(config, () =>
    database.openForDoctor(config, closers, untilInterrupted()),
  );
  add(findings);
  if (!db) return found;
  add(await database.checkRoles(db));
  const migrations = await database.checkMigrations(db);
  add(migrations.findings);
  if (!migrations.isUsable) return found;
  const jobs = await import("./doctor/jobs.ts");
  const { checkIsolation, checkPartitions, checkClock, checkTimeline } = database;
  for (const check of [checkIsolation, checkPartitions, checkClock, checkTimeline]) add(await check(db));
  add(await jobs.checkKeys(config, db));
  add(await jobs.checkJobs(db));
  return found;
}

const columnOf = (title: string) => ({ title, read: (finding: Finding) => finding[title as keyof Finding] });

const STYLES = { ok: "green", note: "dim", warning: "yellow", error: "red" } as const;

function print(found: readonly Finding[], errors: number, warnings: number): void {
  const width = Math.max(...found.map(({ check }) => check.length)) + 2;
  for (const { check, severity, found: what, remedy } of found) {
    const line = hang(`${severity.padEnd(9)}${check.padEnd(width)}`, what);
    console.log(styled(STYLES[severity], severity) + line.slice(severity.length));
    if (remedy !== "") console.log(hang(`${" ".repeat(9 + width)}-> `, remedy));
  }
  console.log();
  if (errors + warnings === 0) console.log("All is well.");
  else console.log(`${countOf(errors, "error")}, ${countOf(warnings, "warning")}.`);
}
