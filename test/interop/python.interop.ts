import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, ingest, NUMBER } from "../support/feed.ts";
import { findToolchain, listProtos, PROTO_ROOT, preparePython, ROOT, run } from "./toolchain.ts";

const folder = await mkdtemp(join(tmpdir(), "tandem-python-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const generated = join(folder, "gen");
const python = await findToolchain("Python", async () => join(await preparePython(), "python"));
const why = "missing" in python ? ` (skipped: ${python.missing})` : "";

describe.skipIf("missing" in python)(`Python${why}`, () => {
  const program = "tools" in python ? python.tools : "";

  test("compiles the whole contract with no registry and no import but google/protobuf, and imports what it made", async () => {
    const protos = await listProtos();
    await mkdir(generated);
    const outputs = ["--python_out", "--pyi_out", "--grpc_python_out"].map((option) => `${option}=${generated}`);
    await run(program, ["-m", "grpc_tools.protoc", `-I${PROTO_ROOT}`, ...outputs, ...protos]);
    const modules = protos.map((path) => path.replace(/\.proto$/, "_pb2").replaceAll("/", "."));
    const code = modules.map((module) => `import ${module}, ${module}_grpc`).join("\n");
    await run(program, ["-c", code], { env: { PYTHONPATH: generated } });
  });

  test("follows the CDR feed of a running Tandem with the example, and goes on where it was", async () => {
    await using exchange = await startExchange();
    await exchange.addCarrier("alpha");
    await exchange.assignNumbers("alpha", [NUMBER]);
    await ingest(exchange, "alpha", calls("first", 2_500));
    const follow = await makeFollower(program, exchange);
    const first = await follow();
    expect(first.map((entry) => entry["sequence"])).toEqual(Array.from({ length: 2_500 }, (_, index) => index + 1));
    expect(first[0]).toMatchObject({ record_id: "first-0", revision: 1, connected_duration_ms: 60_000 });
    expect(await follow()).toEqual([]);
    await ingest(exchange, "alpha", calls("second", 3));
    expect((await follow()).map((entry) => entry["record_id"])).toEqual(["second-0", "second-1", "second-2"]);
  });

  test("tells a refusal apart from a cut: a cursor that is not its own ends the example with the server's word", async () => {
    await using exchange = await startExchange();
    await exchange.addCarrier("alpha");
    const follow = await makeFollower(program, exchange);
    await writeFile(join(folder, "cursor"), "nonsense");
    const error = await follow().catch((thrown: { code: number; stderr: string }) => thrown);
    expect(error).toMatchObject({ code: 1, stderr: expect.stringContaining("INVALID_ARGUMENT: cursor") });
  });
});

/** The example, as a carrier runs it up to the feed's head; it prints a JSON object a line. */
async function makeFollower(program: string, exchange: Exchange): Promise<() => Promise<Record<string, unknown>[]>> {
  const tokenFile = join(folder, "token");
  const cursorFile = join(folder, "cursor");
  await writeFile(tokenFile, await exchange.carrierToken("alpha"));
  await rm(cursorFile, { force: true });
  const files = ["--token-file", tokenFile, "--cursor-file", cursorFile];
  const script = join(ROOT, "examples/python/follow_cdrs.py");
  return async () => {
    const output = await run(program, [script, exchange.url, ...files, "--to-head"], {
      env: { PYTHONPATH: generated },
    });
    expect(await readFile(cursorFile, "utf8")).not.toBe("");
    return output
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
}
