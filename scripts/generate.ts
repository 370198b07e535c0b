// Generates src/gen from the contract, unless it is already what the contract makes.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { glob, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "..");
const out = join(root, "src/gen");

const stamp = await hashInputs();
const current = await readFile(join(out, ".stamp"), "utf8").catch(() => "");
if (current !== stamp) await generate();

/**
 * Writes beside the old folder and swaps, so that a process that is reading src/gen sees the old or
 * the new one whole.
 */
async function generate(): Promise<void> {
  const fresh = await mkdtemp(join(root, "src/.gen-"));
  try {
    // `-o` is put before the template's own `out`, hence the src/gen below the fresh folder.
    await promisify(execFile)("buf", ["generate", "-o", fresh], { cwd: root });
    await writeFile(join(fresh, "src/gen/.stamp"), stamp);
    await rm(out, { recursive: true, force: true });
    await rename(join(fresh, "src/gen"), out);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function hashInputs(): Promise<string> {
  const hash = createHash("sha256");
  const inputs = ["{proto,third_party/proto}/**/*.proto", "buf.yaml", "buf.gen.yaml", "package-lock.json"];
  for (const path of (await Array.fromAsync(glob(inputs, { cwd: root }))).sort()) {
    hash
      .update(path)
      .update("\0")
      .update(await readFile(join(root, path)))
      .update("\0");
  }
  return hash.digest("hex");
}
