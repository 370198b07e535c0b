import { join } from "node:path";
import { exists } from "../files/files.ts";

/** Where a restore works inside a data folder until it is whole. */
export function restoringFolder(dataDir: string): string {
  return join(dataDir, "restoring");
}

/** @throws Error when a restore was interrupted: a server would begin with an empty database. */
export async function refuseHalfRestored(dataDir: string): Promise<void> {
  if (await exists(restoringFolder(dataDir)))
    throw new Error(
      `a restore into ${dataDir} has not finished: wait for it. If it was interrupted, delete the folder and restore again`,
    );
}
