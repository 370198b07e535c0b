// Prints `N passed, N failed` from vitest's JSON report; fails when a test failed, a file did not
// load, or nothing ran.
import { readFileSync } from "node:fs";

const text = readFileSync(process.argv[2], "utf8");
const report = text ? JSON.parse(text) : { numPassedTests: 0, numFailedTests: 0, testResults: [] };
const unloaded = report.testResults.filter(
  (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
);
const failed = report.numFailedTests + unloaded.length;
for (const file of unloaded) console.log(`failed outside of its tests: ${file.name}`);
console.log(`${report.numPassedTests} passed, ${failed} failed`);
process.exitCode = failed > 0 || report.numPassedTests === 0 ? 1 : 0;
