import { Command, InvalidArgumentError, Option } from "commander";
import { loadConfig } from "../../config/config.ts";
import { isPlatformScope, PLATFORM_SCOPES, type PlatformScope } from "../../domain/carriers/scopes.ts";
import { findSigningKey } from "../../trust/signing-key.ts";
import { formatJson } from "../shared/output.ts";
import { keyUsed, sayUsed } from "../shared/used.ts";
import { parseSeconds } from "../shared/values.ts";
import { tokenRevokeCommand } from "./token-revoke.ts";
import { tokenRotateCommand } from "./token-rotate.ts";

/**
 * `tandem token`: prints a bearer token signed with the data folder's own key, and nothing else;
 * and what ends such tokens.
 */
export function tokenCommand(): Command {
  return new Command("token")
    .addOption(new Option("--carrier <id>", "a token of this carrier").conflicts(["platform", "scopes"]))
    .option("--platform", "a token of the platform")
    .option(
      "--scopes <scopes...>",
      `what the platform's token allows (default: all of ${PLATFORM_SCOPES.join(", ")})`,
      parseScopes,
    )
    .option("--identity <name>", "name of its owner, for logs and audits (default: the carrier's id, or platform)")
    .option("--ttl <time>", "how long it is valid: 90s, 15m, 1h, 7d", parseLifetime, 3_600)
    .option("--json", "print JSON: {token, keyId, ttlSeconds}")
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR)")
    .addHelpText(
      "after",
      `
Examples:
  tandem token --platform
  tandem token --carrier nordlys-tele --ttl 1h
  tandem token --platform --scopes carriers.read numbers.read

With the server running:
  TOKEN=$(tandem token --platform)
  curl -H "authorization: Bearer $TOKEN" -H "content-type: application/json" -d '{}' \\
    http://127.0.0.1:7443/tandem.platform.v1.CarrierService/ListCarriers`,
    )
    .action(printToken)
    .addCommand(tokenRotateCommand())
    .addCommand(tokenRevokeCommand());
}

interface TokenOptions {
  carrier?: string;
  platform?: true;
  scopes?: PlatformScope[];
  identity?: string;
  ttl: number;
  dataDir?: string;
  json?: true;
}

async function printToken(options: TokenOptions, command: Command): Promise<void> {
  if (options.carrier === undefined && !options.platform) {
    command.error("error: say whose token: --carrier <id>, or --platform");
  }
  const config = loadConfig(undefined, { dataDir: options.dataDir });
  if (config.tokens.keys.kind !== "own") {
    throw new Error("this server accepts tokens of another issuer (TANDEM_JWKS_URL, TANDEM_JWKS_FILE): get one there");
  }
  const key = await findSigningKey(config.dataDir);
  const whose =
    options.carrier === undefined ? { scopes: options.scopes ?? PLATFORM_SCOPES } : { carrierId: options.carrier };
  const token = await key.issueToken({
    ...whose,
    issuer: config.tokens.issuer,
    audience: config.tokens.audience,
    identity: options.identity ?? options.carrier ?? "platform",
    ttlSeconds: options.ttl,
  });
  sayUsed({ key: keyUsed(key.keyId, config.dataDir) });
  console.log(options.json ? formatJson({ token, keyId: key.keyId, ttlSeconds: options.ttl }) : token);
}

function parseScopes(text: string, before: PlatformScope[] = []): PlatformScope[] {
  const scopes = text.split(/[\s,]+/).filter(Boolean);
  const unknown = scopes.filter((scope) => !isPlatformScope(scope));
  if (unknown.length > 0) throw new InvalidArgumentError(`Unknown scope: ${unknown.join(", ")}.`);
  return [...before, ...scopes.filter(isPlatformScope)];
}

function parseLifetime(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds < 1) throw new InvalidArgumentError("Expected at least 1s.");
  return seconds;
}
