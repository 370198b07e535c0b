// `npm run soak [-- --long] [files]`: what takes its time. `--long` is for by hand, and takes
// about half an hour: ten minutes beside a hostile carrier, a hundred thousand hostile inputs and
// bad records, uploads held against their model two hundred times, a file of a million rows, and
// every kind of traffic in four orders. Each seed is printed; variables of the environment go
// before these.
import { spawn } from "node:child_process";
import { TRAFFIC_WORLDS } from "../test/traffic/worlds.ts";

const LONG = {
  TANDEM_TEST_SOAK_SECONDS: "600",
  TANDEM_TEST_FUZZ_INPUTS: "100000",
  TANDEM_TEST_RUNS: "200",
  TANDEM_TEST_UPLOAD_ROWS: "1000000",
  TANDEM_TEST_RECORD_MUTATIONS: "100000",
  TANDEM_TEST_TRAFFIC_WORLDS: TRAFFIC_WORLDS.map(({ name }) => name).join(","),
  TANDEM_TEST_TRAFFIC_CALLS: "1000",
  TANDEM_TEST_TRAFFIC_SEED: String(Date.now()),
};

const given = process.argv.slice(2);
const isLong = given.includes("--long");
const vitest = spawn(
  "vitest",
  ["run", "--config", "test/soak/vitest.config.ts", ...given.filter((word) => word !== "--long")],
  { stdio: "inherit", env: { ...(isLong ? LONG : {}), ...process.env } },
);
vitest.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
