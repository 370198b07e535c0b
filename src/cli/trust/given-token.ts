import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { ClientConfig } from "../../config/client-config.ts";
import { findOpenMode } from "../../files/file-modes.ts";

const MAX_TOKEN_LENGTH = 16_384;

/**
 * Reads the token that a command was given; undefined when it was given none. A file is read anew
 * each time, so that a command that runs long follows it.
 */
export function givenToken({ token, tokenFile }: Pick<ClientConfig, "token" | "tokenFile">) {
  if (token !== undefined) return async () => token;
  if (tokenFile === undefined) return undefined;
  if (tokenFile !== "-") {
    let warned: Promise<void> | undefined;
    return async () => {
      warned ??= warnIfOpen(tokenFile);
      await warned;
      return readToken(() => readFile(tokenFile, "utf8"), tokenFile);
    };
  }
  // Once: it cannot be read again.
  let fromStdin: Promise<string> | undefined;
  return () => {
    fromStdin ??= readToken(() => text(process.stdin), "standard input");
    return fromStdin;
  };
}

async function warnIfOpen(file: string): Promise<void> {
  const mode = await findOpenMode(file, "read");
  if (mode !== undefined) console.error(`${file}: others can read this token (mode ${mode}): chmod 600 it`);
}

async function readToken(read: () => Promise<string>, where: string): Promise<string> {
  const token = await read().then(
    (content) => content.trim(),
    (error: NodeJS.ErrnoException) => {
      throw new Error(`cannot read ${where} (${error.code ?? error.name})`, { cause: error });
    },
  );
  if (token === "" || token.length > MAX_TOKEN_LENGTH || /\s/.test(token)) throw new Error(`${where} holds no token`);
  return token;
}
