// tsc leaves the generated JavaScript where it is; the package needs it in dist.
import { cp } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
await cp(join(root, "src/gen"), join(root, "dist/gen"), { recursive: true });
