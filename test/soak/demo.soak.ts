import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { enumValues } from "../../src/domain/enum-values.ts";
import { DiscrepancyCause, DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { spawnCli } from "../support/cli.ts";
import { TEST_MS } from "../support/limits.ts";

const COPENHAGEN = join(import.meta.dirname, "../../../shared/data/copenhagen-calls.csv");
const isCopenhagenHere = existsSync(COPENHAGEN);
const TIMEOUT_MS = TEST_MS;

let folder: string;
let settings: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-demo-test-"));
  await chmod(folder, 0o755);
  settings = { TMPDIR: folder };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

// Both tests look at the same demo: of real calls where they are here; the demo that tells its
// story has simulated ones.
const CALLS = isCopenhagenHere
  ? { args: ["--calls", COPENHAGEN], count: 3_600 }
  : { args: ["--calls-per-day", "900"], count: 900 };
let played: ReturnType<typeof spawnCli> | undefined;
function playOnce(): ReturnType<typeof spawnCli> {
  played ??= spawnCli(["demo", "--json", "--seed", "t", ...CALLS.args], settings);
  return played;
}

test(
  `the demo loses and doubles nothing of ${isCopenhagenHere ? "3,600 real calls" : "a simulated day"} though every stream is cut, and leaves nothing behind`,
  async () => {
    const { code, stdout, stderr } = await playOnce();
    expect([code, stderr.includes("NO:")], stderr).toEqual([0, false]);
    const summary = JSON.parse(stdout);
    expect(Object.keys(summary)).toEqual(["numbers", "cdrs", "durations", "reconciliation", "usage", "ok"]);
    const { numbers, cdrs, durations } = summary;
    expect(summary.ok).toBe(true);
    expect(numbers.provisioned).toBeGreaterThanOrEqual(300);
    expect(numbers.assigned).toBeGreaterThan(200);
    expect(cdrs).toEqual({
      ingested: CALLS.count,
      delivered: CALLS.count,
      lost: 0,
      duplicated: 0,
      resumes: expect.any(Number),
    });
    // Three carriers, each cut off from its feed, and the platform from each upload.
    expect(cdrs.resumes).toBeGreaterThanOrEqual(6);
    const { sent, lost, resumes, ...verdicts } = durations;
    expect(lost).toBe(0);
    expect(resumes).toBeGreaterThanOrEqual(3);
    for (const verdict of ["accepted", "duplicate", "conflict", "rejected", "quarantined"])
      expect(verdicts[verdict], verdict).toBeGreaterThan(0);
    expect(Object.values<number>(verdicts).reduce((sum, count) => sum + count, 0)).toBe(sent);
    expect(await readdir(folder)).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "the demo finds every planted fault and cause, none that was not planted, and tells customers' usage",
  async () => {
    const { code, stdout, stderr } = await playOnce();
    expect(code, stderr).toBe(0);
    const { reconciliation, usage } = JSON.parse(stdout);
    const { by_status, by_cause, planted, found, wrong } = reconciliation;
    expect([wrong, found]).toEqual([0, planted]);
    // Nothing stays pending.
    expect(Object.keys(by_status)).toEqual(namesOf(DiscrepancyStatus).filter((status) => status !== "PENDING"));
    expect(Object.keys(by_cause)).toEqual(namesOf(DiscrepancyCause));
    for (const [name, count] of Object.entries({ ...by_status, ...by_cause }))
      expect(count, name).toBeGreaterThanOrEqual(10);
    expect(usage.customers).toBe(6);
    expect(usage.calls).toBeGreaterThan(1_000);
    expect(usage.minutes).toBeGreaterThan(1_000);
    expect(usage.carrier_sourced_share).toBeGreaterThan(0.3);
    expect(usage.carrier_sourced_share).toBeLessThan(1);
  },
  TIMEOUT_MS,
);

test(
  "the demo tells its story, and keeps the server until it is interrupted",
  async () => {
    const { code, stdout } = await spawnCli(["demo", "--keep", "--calls-per-day", "60"], settings, (child) => {
      let text = "";
      child.stdout?.on("data", (chunk) => {
        text += chunk;
        if (text.includes("CdrService/StreamCdrs")) child.kill("SIGINT");
      });
    });
    expect(code).toBe(0);
    const titles = ["Numbers", "Calls", "Durations", "Refused", "Reconciliation", "Usage", "Checks"];
    for (const line of [...titles, "All checks passed.", "export TANDEM_URL=", "reconcile explain rec-"])
      expect(stdout).toContain(line);
    const [story = ""] = stdout.split("The server stays at");
    expect(story.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "a demo that is interrupted ends at once, and leaves nothing behind",
  async () => {
    const { code, stdout } = await spawnCli(["demo"], settings, (child) => {
      let text = "";
      child.stderr?.on("data", (chunk) => {
        // Once: a second Ctrl-C means at once, without cleaning up.
        const begins = !text.includes("calls: ") && `${text}${chunk}`.includes("calls: ");
        text += chunk;
        if (begins) child.kill("SIGINT");
      });
    });
    expect([code, stdout]).toEqual([130, ""]);
    expect(await readdir(folder)).toEqual([]);
  },
  TIMEOUT_MS,
);

test("a calls file that is none is named with its line, before anything is started", async () => {
  const file = join(folder, "calls.csv");
  await writeFile(file, "timestamp,caller,callee,duration\n1,2,3,4\n1,2,x,4\n");
  const { code, stderr } = await spawnCli(["demo", "--calls", file], settings);
  expect([code, stderr.split("\n").length]).toEqual([1, 2]);
  expect(stderr).toContain(`${file}:3: callee is "x"`);
  await rm(file);
});

function namesOf(of: Readonly<Record<string, number | string>>): (number | string | undefined)[] {
  return enumValues(of).map((value) => of[value]);
}
