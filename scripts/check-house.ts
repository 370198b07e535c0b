// `npm run check:house`: holds the files of the repository to the rules in house-rules.ts. It names
// the file and line of each breach.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { findBreaches, hasComments, type LongFile } from "./house-rules.ts";

const LONG_FILES: Readonly<Record<string, LongFile>> = {};

const root = new URL("../", import.meta.url);
const options = { cwd: root, encoding: "utf8" } as const;
// Files that are new and not ignored count as well.
const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], options);
const deleted = new Set(execFileSync("git", ["ls-files", "--deleted"], options).split("\n"));
const files = [...new Set(listed.split("\n"))]
  .filter((path) => hasComments(path) && !path.startsWith("third_party/") && !deleted.has(path))
  .map((path) => ({ path, text: readFileSync(new URL(path, root), "utf8") }));
const breaches = findBreaches(files, LONG_FILES);
for (const breach of breaches) console.error(breach);
console.log(`${files.length} files: ${breaches.length} breaches of the house's rules.`);
if (breaches.length > 0) process.exitCode = 1;
