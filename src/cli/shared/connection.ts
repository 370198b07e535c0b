import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { Option } from "commander";
import { decodeJwt } from "jose/jwt/decode";
import { createTandemTransport, type TandemTransport } from "../../client/transport.ts";
import { type ClientConfig, loadClientConfig } from "../../config/client-config.ts";
import { loadConfig } from "../../config/config.ts";
import { PLATFORM_SCOPES } from "../../domain/carriers/scopes.ts";
import { isLoopback } from "../../trust/settings.ts";
import { givenToken } from "../trust/given-token.ts";
import { commandLineActor } from "./actor.ts";
import { csvOption } from "./csv-option.ts";
import { FieldsCommand, fieldOption } from "./fields.ts";
import { retryUnary } from "./retry-unary.ts";
import { endQuietlyWhenNobodyReads } from "./run-command.ts";
import { rememberTried } from "./tried.ts";
import { keyUsed, sayUsed } from "./used.ts";
import { visibleAnswers } from "./visible-messages.ts";
import { tellWaiting } from "./waiting.ts";

/** A command signs such a token for itself, and the next one when it resumes. */
const OWN_TOKEN_TTL_S = 900;

/** Who a command acts as. */
export type Role = "carrier" | "platform";

/** The options of every command that talks to a server. */
export interface ConnectionOptions {
  readonly url?: string;
  readonly context?: string;
  readonly tokenFile?: string;
  readonly carrierId?: string;
  readonly dataDir?: string | undefined;
  readonly json?: true;
  readonly csv?: true;
}

/** A connection to a running server, as a carrier or as the platform. */
export interface Connection extends Disposable {
  readonly role: Role;
  client<S extends DescService>(service: S): Client<S>;
}

/** A command that talks to a running server. `--carrier` is added by those that need one. */
export function remoteCommand(name: string): FieldsCommand {
  const connection = (flags: string, description: string) => new Option(flags, description).helpGroup("Connection:");
  return new FieldsCommand(name)
    .option("--json", "print JSON, as the contract defines it, instead of text")
    .addOption(connection("--url <url>", "the server (TANDEM_URL; http://127.0.0.1:7443)"))
    .addOption(
      connection("--context <name>", "a server and its token by a name (TANDEM_CONTEXT; tandem context)").conflicts(
        "url",
      ),
    )
    .addOption(
      connection(
        "--token-file <file>",
        "file with the bearer token, - for standard input (TANDEM_TOKEN_FILE; TANDEM_TOKEN holds the token itself; default: one signed with the data folder's key)",
      ),
    )
    .addOption(connection("--data-dir <folder>", "data folder of a server on this machine (TANDEM_DATA_DIR)"));
}

/** A command that talks to a running server and prints what it answers: as rows of CSV, too. */
export function csvCommand(name: string): FieldsCommand {
  return remoteCommand(name).addOption(csvOption());
}

/** `--carrier`, by default of commands that act as one. */
export function carrierOption(description = "the carrier to act as; not needed with a carrier's token"): Option {
  return fieldOption("carrierId", "--carrier <id>", description);
}

/**
 * Connects. A given token's claims say who it is. Without one, the command signs a token with the
 * data folder's key: as the named carrier, else as the platform, as far as the command allows.
 * Either way the logs name the platform, and the person who runs the command.
 */
export async function connect(options: ConnectionOptions, allowed: Role | "either"): Promise<Connection> {
  endQuietlyWhenNobodyReads();
  const config = loadClientConfig(undefined, options);
  const { url } = config;
  const given = givenToken(config);
  const role = given === undefined ? roleToSignFor(options, allowed) : checkToken(await given(), options, allowed);
  const { issue: tokenProvider, key } = given
    ? { issue: given, key: describeGiven(config) }
    : await ownTokens(url, { dataDir: config.context?.dataDir, ...options }, role);
  const as = role === "platform" ? "as the platform" : `as carrier ${options.carrierId ?? "that the token names"}`;
  const by = config.context === undefined ? "" : ` (context ${config.context.name})`;
  sayUsed({ server: `${url.origin}${by}, ${as}`, key });
  const isForPeople = options.json === undefined && options.csv === undefined;
  const transport: TandemTransport = createTandemTransport({
    baseUrl: url.origin,
    tokenProvider,
    interceptors: [rememberTried, tellWaiting, ...(isForPeople ? [visibleAnswers] : []), retryUnary],
  });
  return {
    role,
    client: (service) => createClient(service, transport),
    [Symbol.dispose]: () => transport[Symbol.dispose](),
  };
}

function roleToSignFor({ carrierId }: ConnectionOptions, allowed: Role | "either"): Role {
  if (allowed !== "carrier") return "platform";
  if (carrierId === undefined) throw new Error("say which carrier to act as: --carrier <id>, or use a carrier's token");
  return "carrier";
}

/** A hint for people, and no check: the server verifies the token. */
function checkToken(token: string, { carrierId: carrier }: ConnectionOptions, allowed: Role | "either"): Role {
  const { tandem_carrier: itsCarrier, scope } = readClaims(token);
  // A token without either claim may be of both: the server knows its subject.
  const isSilent = itsCarrier === undefined && scope === undefined && allowed !== "either";
  const role = isSilent ? allowed : roleClaimed(itsCarrier, scope);
  if (allowed !== "either" && role !== allowed) {
    throw new Error(
      `this command is for the ${allowed}, but the token is ${role === "carrier" ? "a carrier" : "the platform"}'s`,
    );
  }
  if (role === "carrier" && carrier !== undefined && itsCarrier !== undefined && carrier !== itsCarrier) {
    throw new Error(`the token belongs to carrier ${itsCarrier}, not ${carrier}`);
  }
  return role;
}

function roleClaimed(itsCarrier: unknown, scope: unknown): Role {
  return itsCarrier === undefined && typeof scope === "string" ? "platform" : "carrier";
}

function readClaims(token: string): Record<string, unknown> {
  try {
    return decodeJwt(token);
  } catch (error) {
    throw new Error("the token is not a JSON Web Token: check --token-file, TANDEM_TOKEN_FILE or TANDEM_TOKEN", {
      cause: error,
    });
  }
}

function describeGiven({ tokenFile }: Pick<ClientConfig, "tokenFile">): string {
  if (tokenFile === undefined) return "the token of TANDEM_TOKEN";
  return tokenFile === "-" ? "the token from standard input" : `the token in ${tokenFile}`;
}

/** Tokens that a command signs for itself, and what with. */
async function ownTokens(url: URL, options: ConnectionOptions, role: Role) {
  const config = loadConfig(undefined, { dataDir: options.dataDir });
  // What this key signs is of no use elsewhere, and should not be shown there.
  if (!isLoopback(url.hostname)) throw noToken(`${url.host} is not this machine`);
  // Only here: what signs takes its time to load.
  const { findSigningKey } = await import("../../trust/signing-key.ts");
  const key = await findSigningKey(config.dataDir).catch((cause: Error) => {
    throw noToken(cause.message, cause);
  });
  const { issuer, audience } = config.tokens;
  const who =
    role === "carrier"
      ? { carrierId: options.carrierId ?? "", byPlatform: true, identity: commandLineActor() }
      : { scopes: PLATFORM_SCOPES, identity: commandLineActor() };
  return {
    key: keyUsed(key.keyId, config.dataDir),
    // Opened for each: the key may have been rotated since.
    issue: async () => {
      const now = await findSigningKey(config.dataDir);
      return await now.issueToken({ issuer, audience, ttlSeconds: OWN_TOKEN_TTL_S, ...who });
    },
  };
}

function noToken(why: string, cause?: Error): Error {
  return new Error(`no token: use --token-file or TANDEM_TOKEN (this command cannot sign one: ${why})`, { cause });
}
