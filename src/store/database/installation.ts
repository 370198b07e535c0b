import { randomBytes, randomUUID } from "node:crypto";
import { type Database, ownerTransaction } from "./database.ts";
import { readRow, readValue, run, type Tx } from "./run.ts";
import { mayReadTimeline, readTimeline } from "./timeline.ts";

const UNKNOWN = "unknown";

/** What all processes on this database share. */
export interface Installation {
  installationId: string;
  /** 32 random bytes: they key stored hashes, and cursors of before seals. Never logged. */
  secret: Buffer;
  /**
   * Whether the server or its timeline differs from the confirmed one: the sign of a restore or a
   * failover. Feeds may then lack entries that clients have seen; `tandem epoch rotate` tells
   * clients so.
   */
  serverChanged: boolean;
}

interface Server {
  readonly systemIdentifier: string;
  /** 0n: not known. */
  readonly timeline: bigint;
}

type Confirmed = Server & Pick<Installation, "installationId" | "secret">;

/** Makes the installation row if there is none. */
export async function ensureInstallation(db: Database): Promise<void> {
  await ownerTransaction(db, async (tx) => {
    const server = await readServer(tx);
    await run(tx)`
      INSERT INTO installation (singleton, installation_id, secret, system_identifier, timeline, create_time)
      VALUES (true, ${randomUUID()}, ${randomBytes(32)}, ${server.systemIdentifier}, ${server.timeline}, clock_timestamp())
      ON CONFLICT DO NOTHING`;
  });
}

/** Reads the installation, and whether the database server is still the confirmed one. */
export async function readInstallation(db: Database): Promise<Installation> {
  return ownerTransaction(db, async (tx) => {
    const row = await readRow(tx)<Confirmed>`
      SELECT installation_id, secret, system_identifier, timeline FROM installation`;
    if (!row) throw new Error("the database has no installation yet");
    const { installationId, secret, ...confirmed } = row;
    return { installationId, secret, serverChanged: isOther(confirmed, await readServer(tx)) };
  });
}

/** Confirms the server beneath. */
export async function confirm(tx: Tx): Promise<{ timeline: bigint }> {
  const { systemIdentifier, timeline } = await readServer(tx);
  await run(tx)`UPDATE installation SET system_identifier = ${systemIdentifier}, timeline = ${timeline}`;
  return { timeline };
}

// A managed PostgreSQL may not let us ask. Then only cursors notice a restore.
async function readServer(tx: Tx): Promise<Server> {
  const may = await readValue(tx)<boolean>`
    SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS may`;
  const timeline = (await mayReadTimeline(tx)) ? await readTimeline(tx) : undefined;
  if (!may) return { systemIdentifier: UNKNOWN, timeline: timeline ?? 0n };
  const systemIdentifier = await readValue(tx)<string>`SELECT system_identifier::text FROM pg_control_system()`;
  return { systemIdentifier, timeline: timeline ?? 0n };
}

// What is not known says nothing.
function isOther(row: Server, now: Server): boolean {
  const known = row.systemIdentifier !== UNKNOWN && now.systemIdentifier !== UNKNOWN;
  if (known && row.systemIdentifier !== now.systemIdentifier) return true;
  return row.timeline !== 0n && now.timeline !== 0n && row.timeline !== now.timeline;
}
