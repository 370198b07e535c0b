import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { ClientConfig } from "../config.ts";

const MAX_TOKEN_LENGTH = 16_384;

/** Reads the token that a command was given; undefined when it was given none. A file is read anew each time, so that a command that runs long follows it. */
export function givenToken({ token, tokenFile }: Pick<ClientConfig, "token" | "tokenFile">) {
  if (token !== undefined) return async () => token;
  if (tokenFile === undefined) return undefined;
  if (tokenFile !== "-") return () => readToken(() => readFile(tokenFile, "utf8"), tokenFile);
  // Once: it cannot be read again.
  let fromStdin: Promise<string> | undefined;
  return () => {
    fromStdin ??= readToken(() => text(process.stdin), "standard input");
    return fromStdin;
  };
}

async function readToken(read: () => Promise<string>, where: string): Promise<string> {
  const token = await read().then(
    (content) => content.trim(),
    (error: NodeJS.ErrnoException) => {
      throw new Error(`${where}: cannot be read (${error.code ?? error.name})`, { cause: error });
    },
  );
  if (token === "" || token.length > MAX_TOKEN_LENGTH || /\s/.test(token))
    throw new Error(`${where}: there is no token in it`);
  return token;
}
