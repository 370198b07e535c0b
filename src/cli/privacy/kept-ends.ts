import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ifThere, replaceFile } from "../../files/files.ts";

/** Where an audit chain ended when it was last found whole. */
export interface KeptEnd {
  /** Empty: the platform's. */
  readonly carrierId: string;
  readonly sequence: bigint;
  readonly hash: Uint8Array<ArrayBuffer>;
}

const KeptFile = z.object({
  chains: z.array(
    z.object({
      carrierId: z.string(),
      sequence: z.string().regex(/^\d{1,18}$/),
      hash: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/** The kept ends by chain; none without a file. Throws when it holds something else. */
export async function readKeptEnds(file: string): Promise<Map<string, KeptEnd>> {
  const text = (await ifThere(readFile(file, "utf8"))) ?? '{"chains":[]}';
  const parsed = KeptFile.safeParse(parseJson(text));
  if (!parsed.success) throw new Error(`${file} was not written by this command`);
  return new Map(
    parsed.data.chains.map(({ carrierId, sequence, hash }) => [
      carrierId,
      { carrierId, sequence: BigInt(sequence), hash: new Uint8Array(Buffer.from(hash, "hex")) },
    ]),
  );
}

/** Keeps the ends, whole or not at all, for their owner alone. */
export async function writeKeptEnds(file: string, ends: Iterable<KeptEnd>): Promise<void> {
  const chains = Array.from(ends, ({ carrierId, sequence, hash }) => ({
    carrierId,
    sequence: String(sequence),
    hash: Buffer.from(hash).toString("hex"),
  }));
  await replaceFile(file, `${JSON.stringify({ chains }, null, 2)}\n`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
