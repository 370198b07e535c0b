// `npm run check:dependencies`: holds the lock file to rules that need no network, and asks the
// registry for known weaknesses, where it can tell.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { findInstalledFaults } from "./install-scripts.ts";
import { findFaults, type Lockfile, type Manifest } from "./lockfile-rules.ts";

const AUDIT_TIMEOUT_MS = 30_000;

const root = new URL("../", import.meta.url);
const read = async (name: string) => JSON.parse(await readFile(new URL(name, root), "utf8")) as unknown;
const lock = (await read("package-lock.json")) as Lockfile;
const manifest = (await read("package.json")) as Manifest & { readonly engines: { readonly node: string } };
const faults = [
  // By the oldest Node that the package is for.
  ...findFaults(lock, manifest, manifest.engines.node),
  ...(await findInstalledFaults(root, lock.packages)),
];
const audit = await runAudit();
for (const fault of [...faults, ...audit.findings]) console.error(fault);
console.log(`${Object.keys(lock.packages).length - 1} packages are locked: ${faults.length} faults. ${audit.summary}`);
if (faults.length + audit.findings.length > 0) process.exitCode = 1;

interface Audit {
  readonly findings: readonly string[];
  readonly summary: string;
}

/**
 * What is shipped only: a weakness of a tool is not one of whoever runs Tandem. A registry that
 * does not answer is no finding.
 */
async function runAudit(): Promise<Audit> {
  const report = parseReport(await npmAudit());
  if (!report) return { findings: [], summary: "The registry could not be asked for known weaknesses." };
  const findings = Object.entries(report.vulnerabilities)
    .filter(([, { severity }]) => severity !== "info" && severity !== "low")
    .map(([name, { severity, range }]) => `${name} ${range} has a known weakness (${severity}): npm audit`);
  return { findings, summary: `Known weaknesses, moderate or worse: ${findings.length}.` };
}

function npmAudit(): Promise<string> {
  const args = ["audit", "--omit=dev", "--json"];
  const options = {
    cwd: root,
    timeout: AUDIT_TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
    shell: process.platform === "win32",
  };
  // It ends with 1 when it has found something, and when it could not ask.
  return new Promise((resolve) => execFile("npm", args, options, (_, stdout) => resolve(stdout)));
}

function parseReport(
  text: string,
): { vulnerabilities: Record<string, { severity: string; range: string }> } | undefined {
  try {
    const report = JSON.parse(text) as { vulnerabilities?: Record<string, { severity: string; range: string }> };
    return report.vulnerabilities ? { vulnerabilities: report.vulnerabilities } : undefined;
  } catch {
    return undefined;
  }
}
