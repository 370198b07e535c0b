import type { Logger } from "pino";
import { type Config, ConfigError } from "../config/config.ts";
import { findCredentials } from "../store/carriers/carrier-access.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";

/**
 * Refuses settings that name a carrier's present or past identity as the platform's, and warns if
 * no token can be the platform's.
 * @throws ConfigError
 */
export async function checkPlatform(config: Config, db: Database, log: Logger): Promise<void> {
  const { platformIdentities, tokens } = config;
  const identities = [...platformIdentities.keys()];
  const known = await systemTransaction(db, (tx) => findCredentials(tx, identities));
  if (known.length > 0) {
    throw new ConfigError(
      known.map(
        ({ identity, carrierId }) =>
          `TANDEM_PLATFORM_IDENTITIES: ${identity} is or was an identity of the carrier ${carrierId}, so it can never be the platform's`,
      ),
    );
  }
  const isOutside = tokens.keys.kind === "url" || tokens.keys.kind === "file";
  const hasSubject = identities.some((identity) => identity.startsWith("jwt:"));
  if (!isOutside || hasSubject || tokens.platformAudience !== undefined) return;
  log.warn(
    "no token is the platform's: TANDEM_PLATFORM_IDENTITIES names no jwt identity, and TANDEM_JWT_PLATFORM_AUDIENCE is not set",
  );
}
