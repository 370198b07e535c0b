import { join } from "node:path";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { agreeOnSharedFile, readSharedFiles } from "../store/database/shared-files.ts";
import { findSigningKey, hasSigningKey, openSigningKey, type SigningKey } from "../trust/signing-key.ts";

/**
 * Opens the data folder's key, or makes it if no process on the database has one yet. Any process
 * may be shown a token that another has signed.
 * @throws Error that names the setting, the file and what to do, when the others have another key.
 */
export async function openSharedSigningKey(db: Database, dataDir: string): Promise<SigningKey> {
  const known = (await systemTransaction(db, readSharedFiles)).get("signing-key");
  if (known !== undefined && !(await hasSigningKey(dataDir))) throw otherKey(dataDir, "is missing", known);
  const key = known === undefined ? await openSigningKey(dataDir) : await findSigningKey(dataDir);
  const shared = known ?? (await agreeOnSharedFile(db, "signing-key", key.lineage));
  if (shared !== key.lineage) throw otherKey(dataDir, `descends from ${key.lineage}`, shared);
  return key;
}

function otherKey(dataDir: string, found: string, shared: string): Error {
  const file = join(dataDir, "keys", "signing.jwk");
  return new Error(
    `TANDEM_DATA_DIR: ${file} ${found}, but the processes on this database share a signing key that descends from ${shared}: ` +
      "copy the folder `keys` from a process that has it, name that data folder in the setting, or let an identity provider sign the tokens. " +
      "If it is lost, stop every process and run `tandem keys adopt`: all then share this folder's key, or a new one",
  );
}
