// After tsc: the package needs the generated JavaScript in dist, which tsc leaves where it is; and
// tsc leaves `import("./file.ts")` as it is in files where it translates `using`.
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
for (const name of await readdir(dist, { recursive: true })) {
  if (!name.endsWith(".js")) continue;
  const text = await readFile(join(dist, name), "utf8");
  const finished = text.replaceAll(/\bimport\("(\.{1,2}\/[^"]+)\.ts"\)/g, 'import("$1.js")');
  if (finished !== text) await writeFile(join(dist, name), finished);
}
await cp(join(root, "src/gen"), join(dist, "gen"), { recursive: true });
