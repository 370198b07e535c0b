import { randomBytes } from "node:crypto";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { AuditOutcome } from "../../src/gen/tandem/platform/v1/audit_event_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { openLog } from "../../src/log.ts";
import { CALLER_ALLOWANCE } from "../../src/rpc/shared/audit/refusal-budget.ts";
import { RefusalLog } from "../../src/rpc/shared/audit/refusal-log.ts";
import { openDatabase } from "../../src/store/database/database.ts";
import { addCarrier } from "../support/carriers.ts";
import { createMigratedDatabase } from "../support/database.ts";
import { startExchange } from "../support/exchange.ts";
import { reasonOf } from "../support/refusal.ts";

test("one caller's flood of refusals leaves room in the audit log for those of all others", async () => {
  await using app = await startExchange();
  await addCarrier(app.services.db, "acme");
  const carriers = createClient(CarrierService, app.connect(await app.platformToken(["carriers.write"])));
  const flood = async (worker: number) => {
    for (let call = 0; call < 65; call++) {
      const carrier = { carrierId: `nobody-${worker}-${call}` };
      const updateMask = { paths: ["display_name"] };
      expect(await reasonOf(carriers.updateCarrier({ requestId: "r", carrier, updateMask }))).toBe("CARRIER_NOT_FOUND");
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => flood(worker)));
  const numbers = createClient(NumberService, app.connect(await app.carrierToken("acme")));
  expect(await reasonOf(numbers.releaseNumbers({ requestId: "", phoneNumbers: [] }))).toBe("INVALID_ARGUMENT");

  const privacy = createClient(PrivacyService, app.connect(await app.platformToken()));
  const { events } = await privacy.listAuditEvents({ carrierId: "acme" });
  expect(events.map(({ errorReason }) => errorReason)).toEqual(["INVALID_ARGUMENT"]);
});

test("what was not written of a caller's refusals is one event in its chain, and a line in the log", async () => {
  await using database = await createMigratedDatabase();
  await using db = openDatabase({ url: database.url });
  await addCarrier(db, "acme");
  const lines: string[] = [];
  const principal = { kind: "carrier", carrierId: "acme", identity: "jwt:tandem:acme", standing: "claimed" } as const;
  {
    await using refusals = new RefusalLog({
      db,
      secret: randomBytes(32),
      log: openLog("warn", (line) => lines.push(line)),
    });
    for (let call = 0; call < CALLER_ALLOWANCE + 30; call++) {
      const method = `m/${call}`;
      const act = { carrierId: "acme", actor: principal.identity, method, resource: "numbers/1" };
      await refusals.record({ act: { ...act, errorReason: "NUMBER_NOT_FOUND" }, principal });
    }
  }
  const events = await db.pool.query(
    "SELECT resource, actor, outcome, details_json FROM audit_event WHERE carrier_id = 'acme' ORDER BY sequence",
  );
  expect(events.rows).toHaveLength(CALLER_ALLOWANCE + 1);
  expect(events.rows.at(-1)).toMatchObject({
    resource: "refusals/30",
    actor: principal.identity,
    outcome: AuditOutcome.REFUSED,
    details_json: JSON.stringify({ not_written: 30 }),
  });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ refusals: 30, callers: 1 });
});
