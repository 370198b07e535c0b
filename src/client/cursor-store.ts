import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ifThere, makeFolder, replaceFile } from "../files/files.ts";

/** A position in a feed: what a client keeps in order to resume. */
export interface FeedPosition {
  /** Opaque; sent to the server to resume. */
  readonly cursor: string;
  /** The sequence of the last entry that was applied. */
  readonly sequence: bigint;
  /** The feed's epoch. */
  readonly epoch: bigint;
}

/**
 * Where a follower keeps its position. Best is the database that the entries are applied to, in the
 * same transaction: `apply` is given the position for that, and `save` may then do nothing. Kept
 * anywhere else, the last batch comes again after a crash between `apply` and `save`.
 */
export interface CursorStore {
  /** The position saved last, or undefined when there is none yet. */
  readonly load: () => Promise<FeedPosition | undefined>;
  /** Keeps a position. It must be durable when the promise resolves. */
  readonly save: (position: FeedPosition) => Promise<void>;
}

/** Keeps the position in memory: for tests, and for clients that read the whole feed each time. */
export function memoryCursorStore(initial?: FeedPosition): CursorStore {
  let kept = initial;
  return {
    load: async () => kept,
    save: async (position) => {
      kept = position;
    },
  };
}

/**
 * Keeps the position in a small JSON file, replaced as a whole, so that a crash leaves the old one
 * or the new one. It is for its owner alone (0600), and so is a folder that has to be made for it;
 * a file that others could read is taken from them with the next position.
 *
 * @example
 * const store = fileCursorStore("/var/lib/warehouse/tandem-cdrs.json");
 */
export function fileCursorStore(path: string): CursorStore {
  return {
    load: async () => {
      const text = await ifThere(readFile(path, "utf8"));
      return text === undefined ? undefined : parsePosition(text, path);
    },
    save: async (position) => {
      await makeFolder(dirname(path), 0o700);
      const { cursor, sequence, epoch } = position;
      await replaceFile(path, `${JSON.stringify({ cursor, sequence: String(sequence), epoch: String(epoch) })}\n`);
    },
  };
}

function parsePosition(text: string, path: string): FeedPosition {
  try {
    const value = JSON.parse(text) as Record<"cursor" | "sequence" | "epoch", unknown>;
    if (typeof value.cursor !== "string") throw new TypeError("no cursor");
    return { cursor: value.cursor, sequence: BigInt(String(value.sequence)), epoch: BigInt(String(value.epoch)) };
  } catch (error) {
    throw new Error(`${path} does not hold a feed position; delete it to start anew`, { cause: error });
  }
}
