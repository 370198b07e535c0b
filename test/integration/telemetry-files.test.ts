import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ALERTS } from "../../scripts/telemetry/alerts.ts";
import { makeTelemetryFiles } from "../../scripts/telemetry/files.ts";
import { METRICS } from "../../src/telemetry/catalogue.ts";

const ROOT = join(import.meta.dirname, "../..");
const operations = await readFile(join(ROOT, "docs/operations.md"), "utf8");

test.each(makeTelemetryFiles())("$path is what its tables make: npm run telemetry:files", async ({ path, text }) => {
  expect(await readFile(join(ROOT, path), "utf8")).toBe(text);
});

test("the rules for OTLP have OTLP's names, and are else the same", () => {
  const [scraped, , sent] = makeTelemetryFiles();
  expect(sent?.text).toContain("rpc_server_call_duration_seconds_bucket");
  expect(sent?.text.replaceAll("rpc_server_call_duration_seconds", "rpc_server_call_duration")).toBe(scraped?.text);
});

test("no query asks for one bucket: its bounds are written differently by the two ways", () => {
  for (const { text } of makeTelemetryFiles()) expect(text).not.toMatch(/\ble(=|!=|=~)/);
});

test("the manual says what each metric means and what to do about each alert", () => {
  for (const name of Object.keys(METRICS)) expect(operations).toContain(`\`${name}\``);
  for (const { name } of ALERTS) expect(operations).toContain(`| \`${name}\` |`);
});
