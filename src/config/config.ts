import { join, resolve } from "node:path";
import { z } from "zod";
import { DEFAULT_LIMITS, LIMIT_SETTINGS, type Limits } from "../domain/limits.ts";
import { nearestName } from "../domain/nearest-name.ts";
import { readTelemetry, type TelemetryConfig } from "../telemetry/settings.ts";
import {
  isLoopback,
  readTls,
  readTokenTrust,
  type TlsFiles,
  type TlsPaths,
  type TokenTrust,
} from "../trust/settings.ts";
import { chooseDataDir } from "./data-dir.ts";
import { parseOrigins } from "./origins.ts";
import { checkPlatformTokens, type PlatformIdentities, parsePlatformIdentities } from "./platform.ts";

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

// Those that are taken as they stand.
const PLAIN = {
  databaseUrl: z
    .string()
    .regex(/^postgres(ql)?:\/\/./, "expected postgresql://user:password@host:port/database")
    .optional()
    .describe("Your own PostgreSQL, 15 or later. Default: one that Tandem runs in the data folder"),
  hintsUrl: z
    .string()
    .regex(/^(off$|postgres(ql)?:\/\/.)/, "expected postgresql://user:password@host:port/database, or off")
    .optional()
    .describe(
      "Where processes tell each other of new records at once: your PostgreSQL past its pooler, or off. Default: TANDEM_DATABASE_URL",
    ),
  databasePool: integer(2, 500).default(10).describe("Most database connections that this process opens, 2 to 500"),
  synchronousCommit: choice(["on", "off", "remote_apply"])
    .default("on")
    .describe(
      "When a write counts as committed: on, remote_apply, or off (for tests only: acknowledged data can be lost)",
    ),
  embeddedRestarts: integer(0, 1_000)
    .default(12)
    .describe("Restarts in a row of Tandem's own PostgreSQL after it has ended; then the process ends with an error"),
  replicaLagMs: integer(0, 604_800_000)
    .default(60_000)
    .describe(
      "Most that a replica may lag when it takes over, ms; clients are asked to send again what is that much older",
    ),
  host: text().default("127.0.0.1").describe("Address to listen on; without TLS, loopback only"),
  port: integer(0, 65_535).default(7443).describe("Port to listen on, 0 to 65535; 0 = any free port"),
  revokedFile: path("File that lists revoked credentials. Default: keys/revoked in the data folder, if it is there"),
  reloadIntervalMs: integer(10, 60_000)
    .default(1_000)
    .describe("Interval between checks for changed files of certificates, keys or revocations, ms"),
  reflection: onOff().default(true).describe("on: clients may read the contract from the server (grpc.reflection)"),
  corsOrigins: z
    .string()
    .default("")
    .transform(parseOrigins)
    .describe(
      "Origins whose pages may call from a browser, such as https://console.example.com, by commas. Default: none",
    ),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, "expected 1 to 32 characters of a-z, 0-9 and -")
    .optional()
    .describe("Region of this process, which then refuses carriers of other regions. Default: serves every region"),
  sipDomain: z
    .string()
    .max(253)
    .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/, "expected a DNS name in lower case")
    .default("sip.tandem.invalid")
    .describe("Domain in SIP URIs of carriers that have no domain of their own"),
  logLevel: choice(["trace", "debug", "info", "warn", "error", "silent"]).default("info").describe("Minimum log level"),
  reconcileIntervalMs: integer(0, 3_600_000)
    .default(1_000)
    .describe("Interval between checks for calls to reconcile, ms; 0 = leave it to other processes"),
  retentionIntervalMs: integer(0, 86_400_000)
    .default(3_600_000)
    .describe("Interval between runs of retention, ms, at most a day; 0 = leave it to other processes"),
};

// Those that something else is worked out from.
const WORKED_OUT = {
  dataDir: text()
    .optional()
    .describe(
      "Folder of Tandem's own PostgreSQL and signing key. Default: ./.tandem, or a folder in /var/lib/tandem where only root may go",
    ),
  erasureJournal: path(
    "Journal of erasures, one file for all processes; restored backups are erased by it. Default: erasures.journal in the data folder",
  ),
  erasureKeyFile: path(
    "Key of that journal, the same for all processes; none starts without it. Default: erasures.key in the data folder",
  ),
  tlsCert: path("PEM file of the server's certificate chain; turns TLS on"),
  tlsKey: path("PEM file of the certificate's private key"),
  tlsClientCa: path("PEM file of the authorities whose client certificates are accepted"),
  allowCleartext: onOff()
    .default(false)
    .describe("on: listen without TLS on addresses other than loopback, behind a proxy that has TLS"),
  jwksUrl: text().optional().describe("URL of the token issuer's keys (JWKS), https"),
  jwksFile: path("File with the token issuer's keys (JWKS), instead of the URL"),
  jwtIssuer: text()
    .max(255)
    .optional()
    .describe("The iss that every token must have; required with a JWKS. Default: tandem"),
  jwtAudience: text().optional().describe("The aud that every token must have; required with a JWKS. Default: tandem"),
  jwtPlatformAudience: text()
    .optional()
    .describe("With a JWKS: tokens with this aud are the platform's, with the scopes of their scope or scp claim"),
  issueTokens: onOff()
    .optional()
    .describe(
      "on: trust the data folder's own key, with which `tandem token` signs. Default: on without TANDEM_DATABASE_URL and JWKS",
    ),
  platformIdentities: z
    .string()
    .transform(parsePlatformIdentities)
    .optional()
    .describe(
      "Who the platform is: identity=scope scope; ... An identity is a SPIFFE id or dns:name of a client certificate, or " +
        "jwt:issuer:subject of a token, both percent-encoded",
    ),
  metricsPort: integer(1, 65_535)
    .optional()
    .describe("Port on which Prometheus finds /metrics, and supervisors /livez and /readyz. Default: off"),
  metricsHost: text().default("127.0.0.1").describe("Address of the port for Prometheus"),
};

type LimitSetting = (typeof LIMIT_SETTINGS)[keyof typeof LIMIT_SETTINGS];
const limitSchema = ({ min, max, fallback, meaning }: LimitSetting) =>
  integer(min, max).default(fallback).describe(meaning);
const LIMITS = Object.fromEntries(
  Object.entries(LIMIT_SETTINGS).map(([name, setting]) => [name, limitSchema(setting)]),
) as Record<keyof typeof LIMIT_SETTINGS, ReturnType<typeof limitSchema>>;

const SETTINGS = { ...PLAIN, ...WORKED_OUT, ...LIMITS };

/** Of the commands that talk to a running server. */
export const CLIENT_SETTINGS = {
  url: z
    .url({ protocol: /^https?$/, error: "expected http://host:port or https://host:port" })
    .optional()
    .describe("The server to talk to. Default: that of the context, else http://127.0.0.1:7443"),
  token: text().optional().describe("Bearer token to send. Default: one signed with the data folder's own key"),
  tokenFile: path("File with the bearer token to send, read again when a stream resumes; - = standard input"),
  context: text().optional().describe("The context to use. Default: the one that `tandem context use` chose"),
  contextsFile: path("File of the contexts. Default: ~/.config/tandem/contexts.json"),
};

type SettingName = keyof typeof SETTINGS;
type ValuesOf<Schemas extends Readonly<Record<string, z.ZodType>>> = {
  readonly [Name in keyof Schemas]: z.output<Schemas[Name]>;
};

/** Every setting of a process, validated. PLAIN says what its settings mean. */
export interface Config extends ValuesOf<typeof PLAIN> {
  /** Absolute path. */
  readonly dataDir: string;
  /** Why the data folder is not the usual one; undefined when it is, or when it was named. */
  readonly dataDirReason: string | undefined;
  /** Absolute paths of the journal of erasures and of its key. Neither is in the database. */
  readonly erasureJournal: string;
  readonly erasureKeyFile: string;
  /** Undefined: cleartext. */
  readonly tls: TlsFiles | undefined;
  readonly tlsPaths: TlsPaths | undefined;
  readonly tokens: TokenTrust;
  /** The platform's identities (of certificates and tokens) and their scopes. */
  readonly platformIdentities: PlatformIdentities;
  /** Undefined: no metrics are served. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  /** What the standard variables OTEL_* ask for. */
  readonly telemetry: TelemetryConfig;
  readonly limits: Limits;
}

/** Settings from elsewhere than the environment, such as the command line. */
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
  const reading = { env, overrides, mistakes };
  const plain = readValues(PLAIN, reading);
  const values = readValues(WORKED_OUT, reading);
  const limits = { ...DEFAULT_LIMITS, ...readValues(LIMITS, reading) };
  mistakes.push(...unknownSettings(env));
  const security = { ...values, databaseUrl: plain.databaseUrl };
  const { tlsCert, tlsKey, tlsClientCa, metricsPort, metricsHost } = values;
  const dataDir = chooseDataDir(values.dataDir);
  const config: Config = {
    ...plain,
    ...dataDir,
    erasureJournal: resolve(values.erasureJournal ?? join(dataDir.dataDir, "erasures.journal")),
    erasureKeyFile: resolve(values.erasureKeyFile ?? join(dataDir.dataDir, "erasures.key")),
    tls: readTls(security, mistakes),
    tlsPaths: tlsCert && tlsKey ? { tlsCert, tlsKey, tlsClientCa } : undefined,
    tokens: readTokenTrust(security, mistakes),
    platformIdentities: values.platformIdentities ?? new Map(),
    metrics: metricsPort === undefined ? undefined : { host: metricsHost, port: metricsPort },
    telemetry: readTelemetry(env, mistakes),
    limits,
  };
  checkPlatformTokens(values, config.platformIdentities, config.tokens, mistakes);
  if (!config.tls && !values.allowCleartext && !isLoopback(config.host)) {
    mistakes.push(
      `TANDEM_HOST: ${config.host} is not loopback, and without TLS anybody on the way can read: ` +
        "set TANDEM_TLS_CERT and TANDEM_TLS_KEY, or TANDEM_ALLOW_CLEARTEXT=on behind a proxy that has TLS",
    );
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  return config;
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

/** Where values are read from, and where what is wrong with them goes. */
export interface Reading {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly overrides: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly mistakes: string[];
}

/** Reads settings by their schemas: overrides first, then the environment. */
export function readValues<Schemas extends Readonly<Record<string, z.ZodType>>>(
  schemas: Schemas,
  { env, overrides, mistakes }: Reading,
): ValuesOf<Schemas> {
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
  return values as ValuesOf<Schemas>;
}

/** A misspelt setting would leave a default in force that nobody meant. */
export function unknownSettings(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = Object.keys({ ...SETTINGS, ...CLIENT_SETTINGS }).map(variableOf);
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith("TANDEM_") && !name.startsWith("TANDEM_TEST_") && !known.includes(name),
  );
  return unknown.map((name) => {
    if (/^TANDEM_(SERVICE_(HOST|PORT)|PORT_)/.test(name)) return `${name}: is not a setting${KUBERNETES_HINT}`;
    const nearest = nearestName(name, known);
    return `${name}: is not a setting${nearest === undefined ? "; `tandem serve --help` lists them all" : `; did you mean ${nearest}?`}`;
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
