import { stat } from "node:fs/promises";
import { join } from "node:path";

/** In a data folder: what a restore is making there, until it is whole. */
export function restoringFolder(dataDir: string): string {
  return join(dataDir, "restoring");
}

/**
 * @throws Error when a restore into this data folder was interrupted: without it, a server would
 *   begin anew there, with an empty database.
 */
export async function refuseHalfRestored(dataDir: string): Promise<void> {
  const isThere = await stat(restoringFolder(dataDir)).then(
    () => true,
    () => false,
  );
  if (isThere)
    throw new Error(
      `a restore into ${dataDir} has not ended: wait for it; if it was interrupted, take the folder away and restore again`,
    );
}
