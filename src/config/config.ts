import { join, resolve } from "node:path";
import { z } from "zod";
import { DEFAULT_LIMITS, type Limits } from "../domain/limits.ts";
import { nearestName } from "../domain/nearest-name.ts";
import {
  isLoopback,
  readTls,
  readTokenTrust,
  type TlsFiles,
  type TlsPaths,
  type TokenTrust,
} from "../trust/settings.ts";
import { chooseDataDir } from "./data-dir.ts";
import { checkPlatformTokens, type PlatformIdentities, parsePlatformIdentities } from "./platform.ts";

/** Every setting of a process, validated. */
export interface Config {
  /**
   * An outside PostgreSQL; undefined in embedded mode, where Tandem runs one of its own in the data
   * folder.
   */
  readonly databaseUrl: string | undefined;
  readonly databasePool: number;
  readonly synchronousCommit: "on" | "off" | "remote_apply";
  /** Most starts in a row of an embedded PostgreSQL that has ended. */
  readonly embeddedRestarts: number;
  /** How far behind a replica may be that takes over, milliseconds. */
  readonly replicaLagMs: number;
  /** Absolute path. */
  readonly dataDir: string;
  /** Why the data folder is not the usual one; undefined when it is, or when it was named. */
  readonly dataDirReason: string | undefined;
  /**
   * Absolute path of the journal of erasures, and of the key that it is encrypted under: both
   * outside the database and its backups.
   */
  readonly erasureJournal: string;
  readonly erasureKeyFile: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Undefined: cleartext. */
  readonly tls: TlsFiles | undefined;
  /** Where the files of `tls` are; they are read again when they change. */
  readonly tlsPaths: TlsPaths | undefined;
  readonly tokens: TokenTrust;
  /**
   * File that lists revoked credentials; undefined: `keys/revoked` in the data folder, if it is
   * there.
   */
  readonly revokedFile: string | undefined;
  /** Between two looks at the files of certificates, keys and revocations, milliseconds. */
  readonly reloadIntervalMs: number;
  /**
   * Who calls as the platform, with a client certificate or as a token's subject: identity text to
   * scopes.
   */
  readonly platformIdentities: PlatformIdentities;
  readonly reflection: boolean;
  /** The region that this process serves; undefined: every carrier's. */
  readonly region: string | undefined;
  /** Host part of SIP URIs of carriers that have no domain of their own. */
  readonly sipDomain: string;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** Undefined: no metrics are served. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  readonly limits: Limits;
  /** Between two looks for calls to reconcile, milliseconds; 0: this process reconciles nothing. */
  readonly reconcileIntervalMs: number;
  /** Between two runs of retention, milliseconds; 0: this process deletes nothing. */
  readonly retentionIntervalMs: number;
}

/** Every mistake in the settings, one a line. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(
      `the configuration has ${mistakes.length === 1 ? "a mistake" : `${mistakes.length} mistakes`}:\n  ${mistakes.join("\n  ")}`,
    );
    this.mistakes = mistakes;
  }
}

const text = () => z.string().min(1);
const path = (what: string) => text().optional().describe(what);
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const choice = <const T extends readonly [string, ...string[]]>(values: T) => z.enum(values);

const WORDS: Record<string, boolean> = {
  on: true,
  true: true,
  yes: true,
  "1": true,
  off: false,
  false: false,
  no: false,
  "0": false,
};
const onOff = () =>
  z.string().transform((value, context) => {
    const meaning = WORDS[value.toLowerCase()];
    if (meaning === undefined) context.addIssue({ code: "custom", message: "expected on or off" });
    return meaning ?? false;
  });

// The key is the setting's name: `tlsCert` is TANDEM_TLS_CERT in the environment. A default is
// given as it would be written there.
const SETTINGS = {
  databaseUrl: z
    .string()
    .regex(/^postgres(ql)?:\/\/./, "expected postgresql://user:password@host:port/database")
    .optional()
    .describe("An outside PostgreSQL 15 or later. Default: one of Tandem's own, in the data folder"),
  databasePool: integer(2, 500).default(10).describe("Most database connections of this process, 2 to 500"),
  synchronousCommit: choice(["on", "off", "remote_apply"])
    .default("on")
    .describe(
      "When a write counts as committed: on, remote_apply, or off (for tests only: acknowledged data can be lost)",
    ),
  embeddedRestarts: integer(0, 1_000)
    .default(12)
    .describe(
      "How often in a row the own PostgreSQL is started again when it has ended; then the process ends with an error",
    ),
  replicaLagMs: integer(0, 604_800_000)
    .default(60_000)
    .describe(
      "How far behind a replica may be that takes over, ms: so much earlier is what clients are asked to send again",
    ),
  dataDir: text()
    .optional()
    .describe(
      "Folder of the own PostgreSQL and of the own signing key. Default: ./.tandem; where only root may go, one in /var/lib/tandem",
    ),
  erasureJournal: path(
    "File that tells what was erased, for a database that is restored from a backup; one for all processes. Default: erasures.journal in the data folder",
  ),
  erasureKeyFile: path(
    "File with the key of the erasure journal, the same for all processes; without it no process starts. Default: erasures.key in the data folder",
  ),
  host: text().default("127.0.0.1").describe("Address to listen on; without TLS, loopback only"),
  port: integer(0, 65_535).default(7443).describe("Port to listen on, 0 to 65535; 0: any free one"),
  tlsCert: path("PEM file of the server's certificate chain; with it, TLS is on"),
  tlsKey: path("PEM file of the certificate's private key"),
  tlsClientCa: path("PEM file of the authorities whose client certificates are accepted"),
  revokedFile: path("File that lists revoked credentials. Default: keys/revoked in the data folder, if it is there"),
  reloadIntervalMs: integer(10, 60_000)
    .default(1_000)
    .describe("Between two looks whether the files of certificates, keys or revocations have changed, ms"),
  allowCleartext: onOff().default(false).describe("on: listen without TLS off loopback, behind a proxy that has TLS"),
  jwksUrl: text().optional().describe("Where the token issuer's keys are (JWKS), https"),
  jwksFile: path("File with the token issuer's keys (JWKS), instead of the URL"),
  jwtIssuer: text()
    .max(255)
    .optional()
    .describe("The iss that every token must have; needed with a JWKS. Default: tandem"),
  jwtAudience: text().optional().describe("The aud that every token must have; needed with a JWKS. Default: tandem"),
  jwtPlatformAudience: text()
    .optional()
    .describe("With a JWKS, an aud that makes a token the platform's, with the scopes of its scope or scp claim"),
  issueTokens: onOff()
    .optional()
    .describe(
      "Whether the data folder's own key is trusted, with which `tandem token` signs. Default: on without TANDEM_DATABASE_URL and JWKS",
    ),
  platformIdentities: z
    .string()
    .transform(parsePlatformIdentities)
    .optional()
    .describe(
      "Who is the platform: identity=scope scope; ... with identity a SPIFFE id or dns:name of a client certificate, or " +
        "jwt:issuer:subject (both percent-encoded) of a token",
    ),
  reflection: onOff().default(true).describe("Whether clients may read the contract from the server (grpc.reflection)"),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, "expected 1 to 32 characters of a-z, 0-9 and -")
    .optional()
    .describe("Region of this process: it refuses carriers of another. Default: serves every region"),
  sipDomain: z
    .string()
    .max(253)
    .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/, "expected a DNS name in lower case")
    .default("sip.tandem.invalid")
    .describe("Domain of the SIP URIs of carriers that have none of their own"),
  logLevel: choice(["trace", "debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("Least level that is logged"),
  metricsPort: integer(1, 65_535).optional().describe("Port for Prometheus, at /metrics. Default: off"),
  metricsHost: text().default("127.0.0.1").describe("Address for Prometheus"),
  heartbeatIntervalMs: integer(10, 60_000)
    .default(DEFAULT_LIMITS.heartbeatIntervalMs)
    .describe("Between heartbeats of a stream, ms"),
  maxStreamAgeMs: integer(100, 86_400_000)
    .default(DEFAULT_LIMITS.maxStreamAgeMs)
    .describe("Life of a stream, ms, +-20 %"),
  maxStallMs: integer(50, 3_600_000)
    .default(DEFAULT_LIMITS.maxStallMs)
    .describe("How long a feed's consumer may stall, ms"),
  maxFeedStreams: integer(1, 10_000)
    .default(DEFAULT_LIMITS.maxFeedStreams)
    .describe("Most streams of feeds of a carrier and method"),
  maxUploadStreams: integer(1, 10_000)
    .default(DEFAULT_LIMITS.maxUploadStreams)
    .describe("Upload streams of a carrier and method"),
  maxMessageBytes: integer(65_536, 67_108_864)
    .default(DEFAULT_LIMITS.maxMessageBytes)
    .describe("Largest message, bytes"),
  uploadBudgetBytes: integer(1_048_576, 2 ** 40)
    .default(DEFAULT_LIMITS.uploadBudgetBytes)
    .describe("Received and uncommitted, bytes"),
  accessCacheMs: integer(0, 2_000)
    .default(DEFAULT_LIMITS.accessCacheMs)
    .describe("How long a carrier's state is believed, ms"),
  reconcileIntervalMs: integer(0, 3_600_000)
    .default(1_000)
    .describe("Between two looks for calls to reconcile, ms; 0: left to other processes"),
  retentionIntervalMs: integer(0, 86_400_000)
    .default(3_600_000)
    .describe("Between two runs of retention, ms, at most a day; 0: left to other processes"),
  maxCallsPerSecond: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxCallsPerSecond)
    .describe("Calls of a principal, a second on average; ten times as many at once"),
  maxBytesPerSecond: integer(1_024, 2 ** 40)
    .default(DEFAULT_LIMITS.maxBytesPerSecond)
    .describe("Bytes of a principal, a second on average; four times as many at once"),
  maxLiveCalls: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxLiveCalls)
    .describe("Calls of a principal that live at once"),
  maxAuthFailuresPerSecond: integer(0, 1_000_000)
    .default(DEFAULT_LIMITS.maxAuthFailuresPerSecond)
    .describe("False credentials of an address, a second on average; 100 times as many at once; 0: no limit"),
  maxRefusalsPerSecond: integer(0, 1_000_000)
    .default(DEFAULT_LIMITS.maxRefusalsPerSecond)
    .describe("Denied and expired calls of a credential and method, a second; ten times as many at once; 0: no limit"),
  maxOpenUploads: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxOpenUploads)
    .describe("Uploads of a carrier and kind that may be open"),
  maxNumbers: integer(1, 1_000_000_000).default(DEFAULT_LIMITS.maxNumbers).describe("Numbers that a carrier may hold"),
  maxUnavailablePerHour: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxUnavailablePerHour)
    .describe("How many numbers of others a carrier may learn of at once, and how many more an hour"),
  requestMs: integer(50, 3_600_000)
    .default(DEFAULT_LIMITS.requestMs)
    .describe("How long a request of one message may take to arrive, ms"),
  answerMs: integer(50, 3_600_000)
    .default(DEFAULT_LIMITS.answerMs)
    .describe("How long a client may leave untaken what was sent to it, ms"),
  maxConnections: integer(1, 1_000_000).default(DEFAULT_LIMITS.maxConnections).describe("Connections at once"),
  maxConnectionsPerAddress: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxConnectionsPerAddress)
    .describe("Connections at once from one address; raise it behind a proxy"),
  maxRequestElements: integer(64, 10_000_000)
    .default(DEFAULT_LIMITS.maxRequestElements)
    .describe("Fields, items and values of a request; batches have as many more as their records need"),
  receivedBudgetBytes: integer(1_048_576, 2 ** 40)
    .default(DEFAULT_LIMITS.receivedBudgetBytes)
    .describe(
      "Received of callers' messages that are not whole, bytes; a half of it for one, and parts besides for those not judged",
    ),
  decodedBudgetBytes: integer(1_048_576, 2 ** 40)
    .default(DEFAULT_LIMITS.decodedBudgetBytes)
    .describe("What messages cost while they are decoded and worked on, bytes; a half of it for one caller"),
  maxAnonymousPerSecond: integer(0, 1_000_000)
    .default(DEFAULT_LIMITS.maxAnonymousPerSecond)
    .describe(
      "Messages of an address to health and reflection, a second on average; 10 times as many at once; 0: no limit",
    ),
  anonymousRequestMs: integer(50, 3_600_000)
    .default(DEFAULT_LIMITS.anonymousRequestMs)
    .describe("How long a message to health or reflection may take to arrive, ms"),
  maxAnonymousCallsPerAddress: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxAnonymousCallsPerAddress)
    .describe("Calls of health at once from one address; raise it behind a proxy"),
  maxAnonymousStreams: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxAnonymousStreams)
    .describe("Streams of health and reflection at once"),
  maxAnonymousStreamsPerAddress: integer(1, 1_000_000)
    .default(DEFAULT_LIMITS.maxAnonymousStreamsPerAddress)
    .describe("Streams of health and reflection at once from one address; raise it behind a proxy"),
  drainMs: integer(0, 600_000)
    .default(DEFAULT_LIMITS.drainMs)
    .describe("How long a shutdown waits for calls in flight, ms"),
};

// Of the commands that talk to a running server.
const CLIENT_SETTINGS = {
  url: z
    .url({ protocol: /^https?$/, error: "expected http://host:port or https://host:port" })
    .default("http://127.0.0.1:7443")
    .describe("The server to talk to"),
  token: text().optional().describe("The bearer token to show. Default: one signed with the data folder's own key"),
  tokenFile: path("File with the bearer token to show, read anew when a stream resumes; -: standard input"),
};

type SettingName = keyof typeof SETTINGS;
type Values = { [Name in SettingName]: z.output<(typeof SETTINGS)[Name]> };

/**
 * Settings given by other means than the environment, such as the command line's; the same names,
 * the same checks.
 */
export type ConfigOverrides = { readonly [Name in SettingName]?: string | number | boolean | undefined };

/**
 * Reads every setting, overrides first, then the environment, then defaults.
 * @throws ConfigError that names every mistake at once.
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>> = process.env,
  overrides: ConfigOverrides = {},
): Config {
  const mistakes: string[] = [];
  const values = readValues(SETTINGS, { env, overrides, mistakes });
  mistakes.push(...unknownSettings(env));
  const dataDir = chooseDataDir(values.dataDir);
  const config: Config = {
    databaseUrl: values.databaseUrl,
    databasePool: values.databasePool,
    synchronousCommit: values.synchronousCommit,
    embeddedRestarts: values.embeddedRestarts,
    replicaLagMs: values.replicaLagMs,
    ...dataDir,
    erasureJournal: resolve(values.erasureJournal ?? join(dataDir.dataDir, "erasures.journal")),
    erasureKeyFile: resolve(values.erasureKeyFile ?? join(dataDir.dataDir, "erasures.key")),
    host: values.host,
    port: values.port,
    tls: readTls(values, mistakes),
    tlsPaths: values.tlsCert && values.tlsKey ? pathsOf(values.tlsCert, values.tlsKey, values.tlsClientCa) : undefined,
    revokedFile: values.revokedFile,
    reloadIntervalMs: values.reloadIntervalMs,
    tokens: readTokenTrust(values, mistakes),
    platformIdentities: values.platformIdentities ?? new Map(),
    reflection: values.reflection,
    region: values.region,
    sipDomain: values.sipDomain,
    logLevel: values.logLevel,
    metrics: values.metricsPort === undefined ? undefined : { host: values.metricsHost, port: values.metricsPort },
    limits: readLimits(values),
    reconcileIntervalMs: values.reconcileIntervalMs,
    retentionIntervalMs: values.retentionIntervalMs,
  };
  checkPlatformTokens(values, config.platformIdentities, config.tokens, mistakes);
  if (!config.tls && !values.allowCleartext && !isLoopback(config.host)) {
    mistakes.push(
      `TANDEM_HOST: ${config.host} is not loopback, and without TLS everybody on the way can read: ` +
        "set TANDEM_TLS_CERT and TANDEM_TLS_KEY, or TANDEM_ALLOW_CLEARTEXT=on behind a proxy that has TLS",
    );
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return config;
}

/** What a command needs in order to talk to a running server. */
export interface ClientConfig {
  readonly url: URL;
  /** The bearer token. Without it and without a file the command signs one itself, if it can. */
  readonly token: string | undefined;
  /** The file that has the token; `-`: standard input. */
  readonly tokenFile: string | undefined;
}

/**
 * Reads the settings of a client: what the command line gives, then the environment, then defaults.
 * @throws ConfigError
 */
export function loadClientConfig(
  env: Readonly<Record<string, string | undefined>> = process.env,
  overrides: { readonly url?: string | undefined; readonly tokenFile?: string | undefined } = {},
): ClientConfig {
  const mistakes: string[] = [];
  const values = readValues(CLIENT_SETTINGS, { env, overrides, mistakes });
  mistakes.push(...unknownSettings(env));
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  // What the command line says comes before the environment.
  const token = overrides.tokenFile === undefined ? values.token : undefined;
  return { url: new URL(values.url), token, tokenFile: values.tokenFile };
}

/** Every setting with what it does, for help texts and documentation. */
export function describeSettings(): { variable: string; description: string; default: string | undefined }[] {
  return Object.entries(SETTINGS).map(([name, schema]) => {
    const fallback = schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined;
    const written = typeof fallback === "boolean" ? { true: "on", false: "off" }[`${fallback}`] : fallback;
    return {
      variable: variableOf(name),
      description: schema.description ?? "",
      default: written === undefined ? undefined : String(written),
    };
  });
}

interface Reading {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly overrides: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly mistakes: string[];
}

function readValues<Schemas extends Readonly<Record<string, z.ZodType>>>(
  schemas: Schemas,
  { env, overrides, mistakes }: Reading,
): { [Name in keyof Schemas]: z.output<Schemas[Name]> } {
  const values: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(schemas)) {
    const given = overrides[name] ?? env[variableOf(name)];
    // Set and empty means not set, as in compose files and shells.
    const parsed = schema.safeParse(given === undefined || given === "" ? undefined : String(given));
    if (parsed.success) values[name] = parsed.data;
    else {
      mistakes.push(
        ...parsed.error.issues.map((issue) => `${variableOf(name)}: ${lowerFirst(issue.message)}${hint(name, given)}`),
      );
      values[name] = schema.safeParse(undefined).data;
    }
  }
  return values as { [Name in keyof Schemas]: z.output<Schemas[Name]> };
}

function pathsOf(tlsCert: string, tlsKey: string, tlsClientCa: string | undefined): TlsPaths {
  return { tlsCert, tlsKey, tlsClientCa };
}

function readLimits(values: Values): Limits {
  return {
    ...DEFAULT_LIMITS,
    heartbeatIntervalMs: values.heartbeatIntervalMs,
    maxStreamAgeMs: values.maxStreamAgeMs,
    maxStallMs: values.maxStallMs,
    maxFeedStreams: values.maxFeedStreams,
    maxUploadStreams: values.maxUploadStreams,
    maxMessageBytes: values.maxMessageBytes,
    uploadBudgetBytes: values.uploadBudgetBytes,
    accessCacheMs: values.accessCacheMs,
    maxCallsPerSecond: values.maxCallsPerSecond,
    maxBytesPerSecond: values.maxBytesPerSecond,
    maxLiveCalls: values.maxLiveCalls,
    maxAuthFailuresPerSecond: values.maxAuthFailuresPerSecond,
    maxRefusalsPerSecond: values.maxRefusalsPerSecond,
    maxOpenUploads: values.maxOpenUploads,
    maxNumbers: values.maxNumbers,
    maxUnavailablePerHour: values.maxUnavailablePerHour,
    requestMs: values.requestMs,
    answerMs: values.answerMs,
    maxConnections: values.maxConnections,
    maxConnectionsPerAddress: values.maxConnectionsPerAddress,
    maxRequestElements: values.maxRequestElements,
    receivedBudgetBytes: values.receivedBudgetBytes,
    decodedBudgetBytes: values.decodedBudgetBytes,
    maxAnonymousPerSecond: values.maxAnonymousPerSecond,
    anonymousRequestMs: values.anonymousRequestMs,
    maxAnonymousCallsPerAddress: values.maxAnonymousCallsPerAddress,
    maxAnonymousStreams: values.maxAnonymousStreams,
    maxAnonymousStreamsPerAddress: values.maxAnonymousStreamsPerAddress,
    drainMs: values.drainMs,
  };
}

// A setting that is misspelt would leave another in force than the one that was meant.
function unknownSettings(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = Object.keys({ ...SETTINGS, ...CLIENT_SETTINGS }).map(variableOf);
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith("TANDEM_") && !name.startsWith("TANDEM_TEST_") && !known.includes(name),
  );
  return unknown.map((name) => {
    if (/^TANDEM_(SERVICE_(HOST|PORT)|PORT_)/.test(name)) return `${name}: is no setting${KUBERNETES_HINT}`;
    const nearest = nearestName(name, known);
    return `${name}: is no setting${nearest === undefined ? "; `tandem serve --help` lists them all" : `; ${nearest} is one`}`;
  });
}

const KUBERNETES_HINT = " (Kubernetes sets it for a Service called tandem: set enableServiceLinks: false)";

function variableOf(name: string): string {
  return `TANDEM_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function hint(name: string, given: unknown): string {
  return name === "port" && String(given).startsWith("tcp://") ? KUBERNETES_HINT : "";
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
