import { copyFile, glob, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { findToolchain, PROTO_ROOT, run } from "./toolchain.ts";

const folder = await mkdtemp(join(tmpdir(), "tandem-java-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const maven = await findToolchain("Java", async () => {
  await run("javac", ["-version"]);
  return (await run("mvn", ["-version"])).split("\n")[0];
});
const why = "missing" in maven ? ` (skipped: ${maven.missing})` : "";

describe.skipIf("missing" in maven)(`Java${why}`, () => {
  test("compiles the whole contract with grpc-java, by Maven and with no option for a plugin", async () => {
    await copyFile(join(import.meta.dirname, "java/pom.xml"), join(folder, "pom.xml"));
    await run("mvn", ["--quiet", "--batch-mode", "compile", `-Dtandem.proto=${PROTO_ROOT}`], { cwd: folder });
    const classes = await Array.fromAsync(glob("target/classes/io/tandem/*/v1/*ServiceGrpc.class", { cwd: folder }));
    expect(classes.length).toBeGreaterThan(8);
  });
});
