// Makes docs/openapi.json from the contract. With --check: fails if it is not what the contract
// makes.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "..");
const target = join(root, "docs/openapi.json");

const made = await generate();
if (!process.argv.includes("--check")) await writeFile(target, made);
else if ((await readFile(target, "utf8").catch(() => "")) !== made) {
  console.error("docs/openapi.json is not what the contract makes: run npm run openapi, and commit it");
  process.exitCode = 1;
}

async function generate(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-openapi-"));
  try {
    const local = [process.execPath, join(root, "scripts/protoc-gen-openapi.ts")];
    const plugins = [{ local, out: ".", strategy: "all", opt: "target=ts" }];
    const template = JSON.stringify({ version: "v2", plugins });
    await promisify(execFile)("buf", ["generate", "proto", "--template", template, "-o", folder], { cwd: root });
    return await readFile(join(folder, "openapi.json"), "utf8");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
