import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { syncFolder } from "../files/files.ts";
import { writeText } from "./copy-files.ts";

const NAME = "manifest.json";
const FORMAT = 1;

/** A path below the backup: of letters that file names of ours have, and never upwards. */
const Path = z
  .string()
  .regex(/^(?!.*(^|\/)\.\.?(\/|$))[A-Za-z0-9._/-]{1,512}$/)
  .refine((path) => !path.startsWith("/"));

const Manifest = z.object({
  format: z.literal(FORMAT),
  /** Of the Tandem that made it. */
  tandemVersion: z.string(),
  /** The major version of PostgreSQL. */
  postgresVersion: z.string(),
  systemIdentifier: z.string(),
  /** What was committed before this is in it. */
  throughTime: z.iso.datetime({ offset: true }),
  /** Where the journal of erasures and the revocations went on being written. */
  erasureJournal: z.string(),
  revokedFile: z.string(),
  folders: z.array(Path),
  files: z.array(
    z.object({ path: Path, bytes: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
});

/** What a backup consists of. It is written last: a folder without it is no backup. */
export type Manifest = Omit<z.output<typeof Manifest>, "format">;

/** Makes a folder a backup: from here on it is whole. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const unfinished = join(folder, `${NAME}.new`);
  await writeText(unfinished, `${JSON.stringify({ format: FORMAT, ...manifest }, undefined, 1)}\n`);
  await rename(unfinished, join(folder, NAME));
  await syncFolder(folder);
}

/** @throws Error when the folder has no backup, or one that this Tandem cannot read. */
export async function readManifest(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, NAME), "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOENT" && cause.code !== "ENOTDIR") throw cause;
    throw new Error(
      `there is no backup in ${folder}: it has no ${NAME}, which \`tandem backup\` writes last; one that was interrupted is none`,
      { cause },
    );
  });
  const json = parse(folder, text);
  if (typeof json === "object" && json !== null && "format" in json && json.format !== FORMAT)
    throw new Error(
      `the backup in ${folder} is of format ${String(json.format)}, and this Tandem reads ${FORMAT}: use the one that made it`,
    );
  const found = Manifest.safeParse(json);
  if (!found.success) throw notWhole(folder, found.error);
  return found.data;
}

function parse(folder: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notWhole(folder, cause as Error);
  }
}

function notWhole(folder: string, cause: Error): Error {
  return new Error(`the backup in ${folder} is not whole: its ${NAME} is damaged`, { cause });
}
