import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, describe, test } from "vitest";
import { findToolchain, PROTO_ROOT, run } from "./toolchain.ts";

const PLUGINS = [
  "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
  "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
];
const MODULES = ["google.golang.org/protobuf@v1.36.11", "google.golang.org/grpc@v1.80.0"];

const folder = await mkdtemp(join(tmpdir(), "tandem-go-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const bin = join(folder, "bin");
const go = await findToolchain("Go", async () => {
  await run("go", ["version"]);
  for (const plugin of PLUGINS) await run("go", ["install", plugin], { cwd: folder, env: { GOBIN: bin } });
  return "go";
});
const why = "missing" in go ? ` (skipped: ${go.missing})` : "";

describe.skipIf("missing" in go)(`Go${why}`, () => {
  test("compiles the whole contract, and what it made, in the packages that the contract names", async () => {
    // The contract's go_package paths begin with the module's name.
    await writeFile(join(folder, "go.mod"), "module tandem\n\ngo 1.24\n");
    const template = {
      version: "v2",
      plugins: ["protoc-gen-go", "protoc-gen-go-grpc"].map((local) => ({ local, out: ".", opt: "module=tandem" })),
    };
    await run("buf", ["generate", PROTO_ROOT, "--template", JSON.stringify(template), "-o", folder], {
      env: { PATH: `${bin}${delimiter}${process.env["PATH"]}` },
    });
    await run("go", ["get", ...MODULES], { cwd: folder });
    await run("go", ["mod", "tidy"], { cwd: folder });
    await run("go", ["vet", "./gen/..."], { cwd: folder });
  });
});
