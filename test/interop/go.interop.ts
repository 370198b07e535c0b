import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, test } from "vitest";
import { makeGoModule } from "./go-module.ts";
import { findToolchain, PROTO_ROOT, pathWith, prepareGoPlugins, preparePython, ROOT, run } from "./toolchain.ts";

const folder = await mkdtemp(join(tmpdir(), "tandem-go-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const go = await findToolchain("Go", async () => ({
  plugins: await prepareGoPlugins(),
  protoc: await preparePython(),
}));
const why = "missing" in go ? ` (skipped: ${go.missing})` : "";

describe.skipIf("missing" in go)(`Go${why}`, () => {
  const { plugins, protoc } = "tools" in go ? go.tools : { plugins: "", protoc: "" };

  test("compiles the whole contract as the plugins make it by default, in a module that one's own module finds", async () => {
    const module = join(folder, "defaults");
    await makeGoModule(module, plugins, protoc);
    await run("go", ["vet", "./..."], { cwd: join(module, "gen/tandem") });
  });

  test("compiles it inside one's own module, with the buf.gen.yaml of the docs", async () => {
    const module = join(folder, "managed");
    await mkdir(module);
    await writeFile(join(module, "go.mod"), "module example.com/carrier\n\ngo 1.24\n");
    const docs = await readFile(join(ROOT, "docs/languages.md"), "utf8");
    await writeFile(join(module, "buf.gen.yaml"), /```yaml\n(version: v2\n.+?)```/s.exec(docs)?.[1] ?? "");
    await run("buf", ["generate", PROTO_ROOT], { cwd: module, env: { PATH: pathWith(plugins) } });
    await run("go", ["get", "google.golang.org/protobuf@v1.36.11", "google.golang.org/grpc@v1.80.0"], { cwd: module });
    await run("go", ["mod", "tidy"], { cwd: module });
    await run("go", ["vet", "./..."], { cwd: module });
  });
});
