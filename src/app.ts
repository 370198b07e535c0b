import type { Logger } from "pino";
import type { Config } from "./config/config.ts";
import type { ErasureJournal } from "./erasure/journal.ts";
import { ErasuresInForce } from "./erasure/late-records.ts";
import { restoreErasures } from "./erasure/restore.ts";
import { openSharedJournal, type SharedJournal } from "./erasure/shared-journal.ts";
import { BlockWrites } from "./feed/block-writes.ts";
import { FeedHub } from "./feed/hub.ts";
import { SharedPages } from "./feed/shared-pages.ts";
import { HEAD_BELIEVED_MS } from "./feed/stream-state.ts";
import { EraseJob } from "./jobs/erase.ts";
import { ReleaseQuarantinedJob } from "./jobs/release-quarantined.ts";
import { openLog } from "./log.ts";
import { Places } from "./port/places.ts";
import { measureConnections } from "./rpc/connection-metrics.ts";
import { TIMELINE_HEALTH } from "./rpc/health.ts";
import { listRoutes } from "./rpc/routes.ts";
import { openServer } from "./rpc/server.ts";
import { watchSetAside } from "./rpc/set-aside-watch.ts";
import type { AuthOptions } from "./rpc/shared/access/auth.ts";
import { CarrierAccess } from "./rpc/shared/access/carrier-access.ts";
import { DenialLimit } from "./rpc/shared/access/denial-limit.ts";
import { FailureLimit } from "./rpc/shared/access/principal-limits.ts";
import { RefusalLog } from "./rpc/shared/audit/refusal-log.ts";
import type { Services } from "./rpc/shared/context.ts";
import { createMetrics } from "./rpc/shared/metrics.ts";
import { warnOfClock } from "./start/clock.ts";
import { findExposures } from "./start/exposures.ts";
import { openHints } from "./start/hints.ts";
import { startJobs } from "./start/jobs.ts";
import { checkPlatform } from "./start/platform.ts";
import { openRotation, type Rotation } from "./start/rotation.ts";
import { openSharedSigningKey } from "./start/shared-signing-key.ts";
import { openStore } from "./start/store.ts";
import { observe, openTelemetry, type Telemetry } from "./start/telemetry.ts";
import { watchTimeline } from "./start/timeline.ts";
import { openCarrierDirectory } from "./store/carriers/carriers.ts";
import { asCaller } from "./store/database/callers.ts";
import type { Database } from "./store/database/database.ts";
import { type DatabaseWatch, openDatabaseWatch } from "./store/database/database-watch.ts";
import { type Installation, readInstallation } from "./store/database/installation.ts";
import { findExcessRights } from "./store/database/isolation.ts";
import { openSealDirectory } from "./store/database/seal-directory.ts";
import type { TimelineWatch } from "./store/feeds/timeline-watch.ts";
import { openRetentionDirectory } from "./store/privacy/retention-policies.ts";
import type { SigningKey } from "./trust/signing-key.ts";
import { createTokenVerifier } from "./trust/tokens.ts";
import { VerifiedTokens } from "./trust/verified-tokens.ts";
import { createCommitMetrics } from "./upload/commit-metrics.ts";
import { Uploads } from "./upload/uploads.ts";

/** A whole Tandem in this process. Dispose it to drain it and let everything go. */
export interface App extends AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:7443`. */
  readonly url: string;
  readonly port: number;
  readonly services: Services;
  /** How many calls are in flight. */
  readonly callCount: number;
  /** Bytes that calls have sent and the process still holds. */
  readonly heldBytes: { readonly received: number; readonly decoded: number };
  /** The key that `tandem token` signs with; undefined when others issue the tokens. */
  readonly signingKey: SigningKey | undefined;
  /** Resolves when the process should end: its own PostgreSQL no longer starts. */
  readonly failure: Promise<Error>;
  /** Takes changed certificates, keys and revocations at once, not within seconds. */
  reload(): Promise<void>;
  /** Stops serving in order; what is left is destroyed after `limits.drainMs`. */
  drain(): Promise<void>;
}

/**
 * Opens PostgreSQL, unless one is given; the schema; the proof that carriers are isolated; the
 * parts that serve; the port. If one fails, those before it are closed again.
 * @param signal ends the start; once the app is open it does nothing.
 */
export function openApp(
  config: Config,
  log: Logger = openLog(config.logLevel),
  signal: AbortSignal = new AbortController().signal,
): Promise<App> {
  // The process's own work counts to the jobs' share of the connections; calls name their callers.
  return asCaller({ kind: "jobs" }, () => openParts(config, log, signal));
}

async function openParts(config: Config, log: Logger, signal: AbortSignal): Promise<App> {
  await using opening = new AsyncDisposableStack();
  const telemetry = await openTelemetry(config, opening, log);
  const { measuring: metrics, tracing } = telemetry;
  const failure = Promise.withResolvers<Error>();
  const { db } = await openStore(config, log, opening, { onLost: failure.resolve, signal });
  signal.throwIfAborted();
  opening.use(measureConnections(metrics.meter, db.lanes, config.databasePool));
  await checkPlatform(config, db, log);
  await warnOfRights(db, log);
  const installation = await readInstallation(db);
  if (installation.serverChanged) {
    log.warn(
      "the database is on another server or timeline than before: if it lost data, run `tandem epoch rotate`; if not, `tandem epoch confirm`",
    );
  }
  await warnOfClock(db, log);
  const timeline = opening.use(await watchTimeline(config, db, log));
  // Before anything serves or works: a process with other keys must do neither.
  const signingKey = config.tokens.keys.kind === "own" ? await openSharedSigningKey(db, config.dataDir) : undefined;
  const erasureFiles = await openSharedJournal(db, config);
  const draining = new AbortController();
  const onError = (error: unknown) => log.warn({ err: error }, "the database did not answer; trying again");
  const services = await openServices(
    { ...{ config, log, db, installation, timeline, telemetry, erasureFiles, onError }, drain: draining.signal },
    opening,
  );
  signal.throwIfAborted();
  opening.use(startJobs(services, config, { onError, onSetAside: watchSetAside(metrics.meter, log) }));
  for (const { where, problem } of await findExposures(config)) log.warn(where, problem);
  const rotation = opening.use(
    await openRotation(config, { signingKey, assertSameErasureKey: erasureFiles.assertSameKey }, log),
  );
  const footing = opening.use(watchDatabase(db, log));
  const server = opening.use(
    await openServer({
      ...config,
      routes: listRoutes(services),
      auth: authOptions(config, rotation, services.access),
      log,
      metrics: services.metrics,
      tracing,
      deliveries: services.hub.deliveries,
      footing,
      refusals: services.refusals,
      conditions: new Map([[TIMELINE_HEALTH, timeline]]),
      draining,
    }),
  );
  rotation.onTls = (tls) => server.setTls(tls);
  signal.throwIfAborted();
  telemetry.readiness.serves(footing, draining.signal);
  opening.use(observe(telemetry, { db, region: config.region, onError }));
  log.info({ port: server.port, tls: config.tls !== undefined }, "serving");
  const opened = opening.move();
  return {
    url: server.url,
    port: server.port,
    services,
    get callCount() {
      return server.callCount;
    },
    get heldBytes() {
      return server.heldBytes;
    },
    signingKey,
    failure: failure.promise,
    reload: () => rotation.reload(),
    drain: () => server.drain(),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function warnOfRights(db: Database, log: Logger): Promise<void> {
  const rights = await findExcessRights(db);
  if (rights.length === 0) return;
  log.warn(
    { rights },
    "row-level security does not bind the database's login: make the login that docs/operations.md describes",
  );
}

interface Foundations {
  readonly config: Config;
  readonly log: Logger;
  readonly db: Database;
  readonly installation: Installation;
  readonly timeline: TimelineWatch;
  readonly telemetry: Telemetry;
  readonly erasureFiles: SharedJournal;
  readonly drain: AbortSignal;
  readonly onError: (error: unknown) => void;
}

/** The parts that serve, and what every service is made of. */
async function openServices(parts: Foundations, opening: AsyncDisposableStack): Promise<Services> {
  const { config, log, db, installation, timeline, telemetry, drain, onError } = parts;
  const { meter } = telemetry.measuring;
  const tracer = telemetry.tracing?.tracer;
  const hub = opening.use(
    new FeedHub({
      poll: (carrierIds) => timeline.pollHeads(carrierIds),
      countChanges: async () => {
        await db.pulse.ask();
        return db.pulse.changes;
      },
      onError,
    }),
  );
  const hints = opening.use(openHints(config, (hint) => hub.hear(hint.carrierId, hint.feed, hint.headSequence), log));
  hub.onMoved = (carrierId, feed, headSequence) => hints?.tell({ carrierId, feed, headSequence });
  const carriers = openCarrierDirectory(db);
  const access = opening.use(
    new CarrierAccess({
      db,
      region: config.region,
      cacheMs: config.limits.accessCacheMs,
      onCarriers: (rows, seenAt) => void carriers.confirm(rows, seenAt).catch(onError),
      onError,
    }),
  );
  const sealKeys = opening.use(await openSealDirectory({ db, unsealedSecret: installation.secret, onError }));
  const { journal, erase } = await openErasures(parts, hub, opening);
  const inForce = new ErasuresInForce(journal);
  const uploads = new Uploads({
    db,
    limits: config.limits,
    hashSecret: installation.secret,
    erasures: inForce,
    onAppended: (carrierId, feed, headSequence) => hub.notify(carrierId, feed, headSequence),
    metrics: createCommitMetrics(meter),
    tracer,
  });
  const release = opening.use(
    new ReleaseQuarantinedJob({
      db,
      region: config.region,
      release: (carrierId, signal) => uploads.release(carrierId, signal),
      onError,
    }),
  );
  return {
    db,
    hub,
    feedPages: new SharedPages(),
    blockWrites: new BlockWrites(db),
    uploads,
    carriers,
    retention: openRetentionDirectory(db),
    config,
    installation,
    seals: sealKeys.seals,
    log,
    metrics: createMetrics(meter),
    tracer,
    access,
    slots: new Places(),
    refusals: opening.use(new RefusalLog({ db, log, secret: installation.secret })),
    erasures: { journal, inForce, wake: () => erase.wake() },
    onNumbersChanged: (carrierId) => release.wake(carrierId),
    drain,
  };
}

/** The erasures' journal and job. A restored database first repeats what was erased since. */
async function openErasures(
  { db, installation, erasureFiles: { journal }, onError }: Foundations,
  hub: FeedHub,
  opening: AsyncDisposableStack,
): Promise<{ journal: ErasureJournal; erase: EraseJob }> {
  const erase = opening.use(
    new EraseJob({
      db,
      journal,
      hashSecret: installation.secret,
      deliveries: hub.deliveries,
      sharedAgeMs: HEAD_BELIEVED_MS,
      onAppended: (carrierId, feed, headSequence) => hub.notify(carrierId, feed, headSequence),
      onError,
    }),
  );
  // After a restore onto another server, recheck overdue exceptions before serving: whatever held
  // them back may be gone.
  await erase.start((await restoreErasures(db, journal)) || installation.serverChanged);
  return { journal, erase };
}

function watchDatabase(db: Database, log: Logger): DatabaseWatch {
  return openDatabaseWatch(db, (answers, error) => {
    if (answers) log.warn("the database answers again: health says SERVING");
    else log.error({ err: error }, "the database does not answer: health says NOT_SERVING");
  });
}

function authOptions(config: Config, { trust, tokenKeys }: Rotation, access: CarrierAccess): AuthOptions {
  const { keys, ...names } = config.tokens;
  const revocations = () => trust.revocations;
  const verifyToken = tokenKeys && createTokenVerifier({ findKey: tokenKeys.find, ...names, revocations });
  return {
    tokens: verifyToken && new VerifiedTokens(verifyToken, trust),
    failures: new FailureLimit(config.limits.maxAuthFailuresPerSecond),
    denials: new DenialLimit(config.limits.maxRefusalsPerSecond),
    signsTokens: keys.kind === "own",
    platformIdentities: config.platformIdentities,
    access,
    trust,
  };
}
