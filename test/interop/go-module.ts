import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { listProtos, PROTO_ROOT, pathWith, run } from "./toolchain.ts";

const MODULES = ["google.golang.org/protobuf@v1.36.11", "google.golang.org/grpc@v1.80.0"];

/**
 * Makes a Go module that uses the contract, as docs/languages.md has it: the plugins with their
 * defaults, and a module `tandem` of what they wrote, which the user's own module finds by
 * `replace`.
 */
export async function makeGoModule(folder: string, pluginFolder: string, protocFolder: string): Promise<void> {
  const generated = join(folder, "gen");
  await mkdir(generated, { recursive: true });
  const env = { PATH: pathWith(pluginFolder, protocFolder) };
  const outputs = [`--go_out=${generated}`, `--go-grpc_out=${generated}`];
  await run("protoc", [`-I${PROTO_ROOT}`, ...outputs, ...(await listProtos())], { env });
  const contract = join(generated, "tandem");
  await run("go", ["mod", "init", "tandem"], { cwd: contract });
  await run("go", ["get", ...MODULES], { cwd: contract });
  await run("go", ["mod", "tidy"], { cwd: contract });
  await writeFile(join(folder, "go.mod"), "module example.com/carrier\n\ngo 1.24\n");
  await run("go", ["mod", "edit", "-require=tandem@v0.0.0", "-replace=tandem=./gen/tandem"], { cwd: folder });
}
