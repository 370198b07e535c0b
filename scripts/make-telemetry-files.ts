// `npm run telemetry:files`: writes the dashboards and alert rules of deploy/.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeTelemetryFiles } from "./telemetry/files.ts";

const root = join(import.meta.dirname, "..");
for (const { path, text } of makeTelemetryFiles()) {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
  console.log(path);
}
