import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { syncFolder } from "../files/files.ts";
import { writeText } from "./copy-files.ts";

const NAME = "manifest.json";
const FORMAT = 1;

/** A relative path that never leads upwards. */
const Path = z
  .string()
  .regex(/^(?!.*(^|\/)\.\.?(\/|$))[A-Za-z0-9._/-]{1,512}$/)
  .refine((path) => !path.startsWith("/"));

const Manifest = z.object({
  format: z.literal(FORMAT),
  tandemVersion: z.string(),
  /** Major version. */
  postgresVersion: z.string(),
  systemIdentifier: z.string(),
  /** Everything committed before this is in the backup. */
  throughTime: z.iso.datetime({ offset: true }),
  /** Where the journal and the revocations continued. */
  erasureJournal: z.string(),
  revokedFile: z.string(),
  folders: z.array(Path),
  files: z.array(
    z.object({ path: Path, bytes: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
});

/** Written last: a folder without it is no backup. */
export type Manifest = Omit<z.output<typeof Manifest>, "format">;

export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const unfinished = join(folder, `${NAME}.new`);
  await writeText(unfinished, `${JSON.stringify({ format: FORMAT, ...manifest }, undefined, 1)}\n`);
  await rename(unfinished, join(folder, NAME));
  await syncFolder(folder);
}

/** @throws Error when the folder has no backup that this Tandem can read. */
export async function readManifest(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, NAME), "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOENT" && cause.code !== "ENOTDIR") throw cause;
    throw new Error(`${folder} holds no complete backup: it lacks ${NAME}, which \`tandem backup\` writes last`, {
      cause,
    });
  });
  const json = parse(folder, text);
  if (typeof json === "object" && json !== null && "format" in json && json.format !== FORMAT)
    throw new Error(
      `the backup in ${folder} has format ${String(json.format)}, but this Tandem reads ${FORMAT}: use the version that made it`,
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
