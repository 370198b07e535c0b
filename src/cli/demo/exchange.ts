import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openApp } from "../../app.ts";
import { loadConfig } from "../../config/config.ts";
import { findFolderClosedToOthers } from "../../config/data-dir.ts";
import { PLATFORM_SCOPES } from "../../domain/carriers/scopes.ts";
import { openLog } from "../../log.ts";
import { startEmbeddedPostgres } from "../../store/postgres/embedded-postgres.ts";

/** A demo that is kept is meant for an afternoon. */
const TOKEN_TTL_S = 86_400;

/** A server of the demo's own, and tokens for it. */
export type DemoExchange = Awaited<ReturnType<typeof openDemoExchange>>;

/** Opens a real server and a PostgreSQL that commits to disk, in a temporary folder. */
export async function openDemoExchange(signal: AbortSignal) {
  await using opening = new AsyncDisposableStack();
  const folder = await mkdtemp(join(chooseParent(), "tandem-demo-"));
  opening.defer(() => rm(folder, { recursive: true, force: true }));
  // PostgreSQL's account, when we are root, must be able to walk through.
  await chmod(folder, 0o755);
  const postgres = opening.use(
    await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), ephemeral: true, durable: true, signal }),
  );
  // Not the environment: the demo shows the same everywhere.
  const config = loadConfig(
    {},
    {
      databaseUrl: postgres.url,
      issueTokens: true,
      dataDir: folder,
      port: 0,
      drainMs: 2_000,
      // Nobody waits a second for each look.
      reconcileIntervalMs: 200,
      logLevel: "error",
    },
  );
  const app = opening.use(await openApp(config, openLog(config.logLevel)));
  const { signingKey } = app;
  if (signingKey === undefined) throw new Error("the demo's server has no key of its own");
  const { issuer, audience } = config.tokens;
  const issue = (who: { carrierId: string } | { scopes: typeof PLATFORM_SCOPES }) =>
    signingKey.issueToken({ issuer, audience, identity: "demo", ttlSeconds: TOKEN_TTL_S, ...who });
  const opened = opening.move();
  return {
    app,
    folder,
    platformToken: () => issue({ scopes: PLATFORM_SCOPES }),
    carrierToken: (carrierId: string) => issue({ carrierId }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Where temporary folders go, unless only root may enter there and we are root. */
function chooseParent(): string {
  const parents = [tmpdir(), "/var/tmp", "/tmp"];
  if (process.getuid?.() !== 0) return tmpdir();
  return parents.find((parent) => findFolderClosedToOthers(parent) === undefined) ?? tmpdir();
}
