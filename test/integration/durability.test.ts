import { expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { Durability } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { openLog } from "../../src/log.ts";
import { startExchange } from "../support/exchange.ts";

test("with remote_apply and no synchronous replica, records are acknowledged as DISK, and the log says why", async () => {
  const logged: string[] = [];
  const log = openLog("warn", (line) => logged.push(line));
  await using exchange = await startExchange({ synchronousCommit: "remote_apply" }, log);
  await exchange.addCarrier("alpha");
  const durations = await exchange.carrierClient(DurationService, "alpha");
  const { durability } = await durations.appendDurations({
    uploadId: "u",
    firstOffset: 0n,
    records: [],
    validateOnly: true,
  });
  expect(durability).toBe(Durability.DISK);
  expect(logged.join("\n")).toContain("synchronous_standby_names is empty");
}, 60_000);
