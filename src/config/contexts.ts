import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { nearestName } from "../domain/nearest-name.ts";
import { makeFolder, replaceFile } from "../files/files.ts";

/** Most contexts of a file. */
const MAX_CONTEXTS = 1_000;
/** What a context may be called. */
export const CONTEXT_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/;

const Context = z.object({
  url: z.url({ protocol: /^https?$/, error: "expected http://host:port or https://host:port" }),
  tokenFile: z.string().min(1).optional(),
  dataDir: z.string().min(1).optional(),
});
const ContextsFile = z.object({
  current: z.string().optional(),
  contexts: z
    .record(z.string().regex(CONTEXT_NAME), Context)
    .refine((contexts) => Object.keys(contexts).length <= MAX_CONTEXTS, `over ${MAX_CONTEXTS} contexts`),
});

/** A server by a name, with the file of the token for it. */
export interface Context {
  readonly url: string;
  readonly tokenFile?: string | undefined;
  /** The data folder whose key signs tokens, for a server of this machine. */
  readonly dataDir?: string | undefined;
}

export interface NamedContext extends Context {
  readonly name: string;
}

/** Every context, and which one is used when none is named. */
export interface Contexts {
  readonly current?: string | undefined;
  readonly contexts: Readonly<Record<string, Context>>;
}

export function contextsFileOf({ contextsFile }: { readonly contextsFile?: string | undefined }): string {
  return resolve(contextsFile ?? join(homedir(), ".config", "tandem", "contexts.json"));
}

/** Reads a file of contexts; none if it is not there. Throws an Error that names the file. */
export function readContexts(file: string): Contexts {
  try {
    return ContextsFile.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { contexts: {} };
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (code ?? "it is not JSON");
    throw new Error(`${file} is no file of contexts: ${why}; \`tandem context set\` makes one`, { cause: error });
  }
}

/** Replaces a file of contexts. It holds no token, only where tokens are. */
export async function writeContexts(file: string, contexts: Contexts): Promise<void> {
  await makeFolder(dirname(file), 0o700);
  await replaceFile(file, `${JSON.stringify(ContextsFile.parse(contexts), null, 2)}\n`);
}

/** Finds the named context, or the current one; adds what is wrong to the mistakes. */
export function findContext(
  settings: { readonly context?: string | undefined; readonly contextsFile?: string | undefined },
  mistakes: string[],
): NamedContext | undefined {
  try {
    const { current, contexts } = readContexts(contextsFileOf(settings));
    const name = settings.context ?? current;
    const found = name === undefined ? undefined : contexts[name];
    if (name === undefined) return undefined;
    if (found) return { name, ...found };
    mistakes.push(`TANDEM_CONTEXT: ${unknownContext(name, contexts)}`);
  } catch (error) {
    mistakes.push(`TANDEM_CONTEXTS_FILE: ${(error as Error).message}`);
  }
  return undefined;
}

/** Says that there is no such context, and which one may be meant. */
export function unknownContext(name: string, contexts: Contexts["contexts"]): string {
  const nearest = nearestName(name, Object.keys(contexts));
  const hint = nearest === undefined ? "`tandem context list` shows them all" : `did you mean ${nearest}?`;
  return `there is no context ${name}; ${hint}`;
}
