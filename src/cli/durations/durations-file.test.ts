import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DurationsFile, PLAIN_SETTINGS } from "./durations-file.ts";
import type { FormatSettings } from "./formats/format.ts";
import { TANDEM_CSV } from "./formats/tandem-csv.ts";

const signal = new AbortController().signal;
let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-file-"));
  path = join(folder, "calls.csv");
  const rows = Array.from({ length: 20 }, (_, number) => (number % 5 === 3 ? "x" : `r${number},outbound`));
  await writeFile(path, ["record_id,direction", ...rows].join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = (settings: Partial<FormatSettings> = {}) =>
  new DurationsFile(path, TANDEM_CSV, { ...PLAIN_SETTINGS, ...settings });
const survey = (file: DurationsFile) => file.survey(signal, () => {});

test("the record at an offset is the same however the file is read, forward or back", async () => {
  const ids = Array.from({ length: 20 }, (_, number) => `r${number}`).filter((_, number) => number % 5 !== 3);
  await using source = open().source();
  const reads = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 7 })));
  await fc.assert(
    fc.asyncProperty(reads, async (asked) => {
      // Two readers may ask at once.
      const found = await Promise.all(asked.map(([offset, limit]) => source.read(offset, limit, signal)));
      for (const [index, [offset, limit]] of asked.entries())
        expect(found[index]?.map(({ recordId }) => recordId)).toEqual(ids.slice(offset, offset + limit));
    }),
    { numRuns: 30 },
  );
});

test("an upload is named by what is read: by the content, and by what was said of it", async () => {
  const [plain, again, trunk, zone] = await Promise.all([
    survey(open()),
    survey(open()),
    survey(open({ trunkId: "gb-1" })),
    survey(open({ trunkId: "gb-2" })),
  ]);
  expect(plain).toMatchObject({ recordCount: 16, mistakes: { lineCount: 4 } });
  expect(plain?.contentId).toBe(again?.contentId);
  expect(new Set([plain?.contentId, trunk?.contentId, zone?.contentId]).size).toBe(3);
});

test("reading ends when it is cancelled", async () => {
  await expect(open().survey(AbortSignal.abort(new Error("enough")), () => {})).rejects.toThrow("enough");
});

test("a file that changes while it is read is refused", async () => {
  const file = open();
  await survey(file);
  await appendFile(path, "\nr99,outbound\n");
  await using source = file.source();
  await expect(source.read(0, 1, signal)).rejects.toThrow("was changed while it was read");
});
