import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { retrySetAside } from "../../src/reconcile/retry-set-aside.ts";
import { carrierTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { MOST_ROUNDS, markMinutes } from "../../src/store/reconciliation/reconcile-progress.ts";
import { addCarrier } from "../support/carriers.ts";
import { startExchange } from "../support/exchange.ts";
import { reasonOf } from "../support/refusal.ts";

test("Prometheus finds calls by method and code, refused ones too, and the streams that live", async () => {
  const port = await findFreePort();
  await using app = await startExchange({ metricsPort: port });
  const read = async () => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const health = createClient(Health, app.connect());
  await health.check({});
  await health.check({});
  await reasonOf(createClient(DurationService, app.connect()).listUploads({}));
  const stop = new AbortController();
  const watch = health.watch({}, { signal: stop.signal })[Symbol.asyncIterator]();
  await watch.next();

  const text = await read();
  expect(sampleOf(text, "tandem_calls_total", "grpc.health.v1.Health/Check", 'code="Ok"')).toBe(2);
  expect(
    sampleOf(text, "tandem_calls_total", "tandem.carrier.v1.DurationService/ListUploads", 'code="Unauthenticated"'),
  ).toBe(1);
  expect(sampleOf(text, "tandem_live_streams", "grpc.health.v1.Health/Watch")).toBe(1);
  expect(text).toContain("tandem_call_duration_seconds_bucket");

  stop.abort();
  await expect.poll(async () => sampleOf(await read(), "tandem_live_streams", "grpc.health.v1.Health/Watch")).toBe(0);
});

test("records are counted once they are acknowledged, by verdict; those that were only tried are not", async () => {
  const port = await findFreePort();
  await using app = await startExchange({ metricsPort: port });
  await addCarrier(app.services.db, "acme");
  const durations = createClient(DurationService, app.connect(await app.carrierToken("acme")));
  await durations.appendDurations({ uploadId: "tried", validateOnly: true, records: [{}] });
  await durations.appendDurations({ uploadId: "sent", records: [{}, {}] });
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const method = "tandem.carrier.v1.DurationService/AppendDurations";
  expect(sampleOf(text, "tandem_records_acknowledged_total", method, 'verdict="rejected"')).toBe(2);
});

test("connections to the database and the waits for them are told by kind of caller", async () => {
  const port = await findFreePort();
  await using app = await startExchange({ metricsPort: port });
  await addCarrier(app.services.db, "acme");
  await createClient(DurationService, app.connect(await app.carrierToken("acme"))).listUploads({});
  const gate = Promise.withResolvers<void>();
  const patient = { idleTimeoutMs: 600_000 };
  const open = Array.from({ length: 5 }, () =>
    carrierTransaction(app.services.db, "acme", () => gate.promise, patient),
  );
  await expect.poll(() => app.services.db.lanes.state.carrier).toMatchObject({ held: 3, waiting: 2 });
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  gate.resolve();
  await Promise.all(open);
  const sampleAt = (name: string) => Number(new RegExp(`^${name}{lane="carrier"} (.*)$`, "m").exec(text)?.[1]);
  expect(sampleAt("tandem_database_connections_held")).toBe(3);
  expect(sampleAt("tandem_database_connections_waited_for")).toBe(2);
  expect(sampleAt("tandem_database_longest_wait_seconds")).toBeGreaterThan(0);
  expect(sampleAt("tandem_database_wait_seconds_count")).toBeGreaterThanOrEqual(4);
  expect(text.match(/^tandem_database.*$/gm)?.join()).not.toContain("acme");
});

test("how many carriers have calls that do not settle is told, and which is in the log, once", async () => {
  const port = await findFreePort();
  await using app = await startExchange({ metricsPort: port, reconcileIntervalMs: 10 });
  const read = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^tandem_reconcile_carriers_set_aside (.*)$/m.exec(text)?.[1]);
  };
  expect(await read()).toBe(0);
  await addCarrier(app.services.db, "acme");
  await systemTransaction(app.services.db, (tx) => markMinutes(tx, "acme", [1_700_000_040_000_000n], MOST_ROUNDS + 1));
  await expect.poll(read).toBe(1);
  const told = () => app.logged.filter((line) => line.includes("do not settle"));
  await expect.poll(() => told().length).toBe(1);
  expect(told()[0]).toContain("acme");
  expect(await retrySetAside(app.services.db, "acme", "cli:test")).toBe(1);
  await expect.poll(read).toBe(0);
  expect(told()).toHaveLength(1);
});

test("metrics are off unless asked for", async () => {
  await using app = await startExchange();
  app.services.metrics.calls.add(1);
  expect(app.services.metrics.calls.constructor.name).toContain("Noop");
});

function sampleOf(text: string, name: string, method: string, label = ""): number | undefined {
  const line = text
    .split("\n")
    .find((row) => row.startsWith(`${name}{`) && row.includes(`method="${method}"`) && row.includes(label));
  return line === undefined
    ? undefined
    : Number(
        line
          .slice(line.lastIndexOf("}") + 1)
          .trim()
          .split(" ")[0],
      );
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
