import { request } from "node:http";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { Readiness } from "../../src/start/readiness.ts";
import { startExchange } from "../support/exchange.ts";
import { findFreePort } from "../support/server-process.ts";

test("/livez and /readyz answer while the process serves, and /readyz says when it drains", async () => {
  const port = await findFreePort();
  await using app = await startExchange({ metricsPort: port });
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  };
  expect(await ask("/livez")).toEqual([200, "ok\n"]);
  expect(await ask("/readyz?verbose")).toEqual([200, "ok\n"]);
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await metrics.text()).toMatch(/^tandem_ready 1$/m);

  await app.drain();
  expect(await ask("/readyz")).toEqual([503, "draining\n"]);
  expect(await ask("/livez")).toEqual([200, "ok\n"]);
  expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toMatch(/^tandem_ready 0$/m);
});

test("readiness follows the database", () => {
  const readiness = new Readiness();
  expect(readiness.why).toBe("starting");
  const database = { answers: true };
  readiness.serves(database, new AbortController().signal);
  expect(readiness.why).toBeUndefined();
  database.answers = false;
  expect(readiness.why).toBe("the database does not answer");
});

test("other paths and methods are refused, and a head has no body", async () => {
  const port = await findFreePort();
  await using _app = await startExchange({ metricsPort: port });
  expect((await send(port, "GET", "/")).status).toBe(404);
  expect((await send(port, "GET", "/metrics/../livez")).status).toBe(404);
  expect((await send(port, "POST", "/metrics")).status).toBe(405);
  expect(await send(port, "HEAD", "/livez")).toEqual({ status: 200, body: "" });
});

/** As it stands: fetch would mend the path. */
async function send(port: number, method: string, path: string) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; body: string }>();
  const asked = request({ host: "127.0.0.1", port, method, path }, async (response) =>
    resolve({ status: response.statusCode, body: await text(response) }),
  );
  asked.on("error", reject).end();
  return promise;
}
