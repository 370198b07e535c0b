import { access, appendFile, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Command, Option } from "commander";
import { decodeJwt } from "jose/jwt/decode";
import { type Config, loadConfig } from "../../config/config.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { type RevocationEntry, Revocations } from "../../trust/revocations.ts";
import { formatJson } from "../shared/output.ts";
import { givenToken } from "./given-token.ts";

interface RevokeOptions {
  readonly id?: string;
  readonly subject?: string;
  readonly certificate?: string;
  readonly tokenFile?: string;
  readonly dataDir?: string;
  readonly json?: true;
}

/** `tandem token revoke`: adds a line to the file of revoked credentials. */
export function tokenRevokeCommand(): Command {
  const what = ["id", "subject", "certificate", "tokenFile"];
  const only = (option: Option, name: string) => option.conflicts(what.filter((other) => other !== name));
  return new Command("revoke")
    .description(
      "Revoke a credential before it expires. Servers that read the file refuse it and end its streams within seconds.",
    )
    .addOption(only(new Option("--token-file <file>", "file with the token; - for standard input"), "tokenFile"))
    .addOption(only(new Option("--id <jti>", "the token's id (claim jti)"), "id"))
    .addOption(only(new Option("--subject <sub>", "all tokens of this subject issued until now"), "subject"))
    .addOption(
      only(
        new Option(
          "--certificate <sha256>",
          "fingerprint of a client certificate, or of an authority between it and a root",
        ),
        "certificate",
      ),
    )
    .option("--json", "print JSON: {file, entry}")
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR)")
    .addHelpText(
      "after",
      `
The file is TANDEM_REVOKED_FILE, or else keys/revoked in the data folder. Servers on other machines need the same file.

Examples:
  tandem token revoke --subject nordlys-tele
  tandem token revoke --token-file lost.token`,
    )
    .action(revoke);
}

async function revoke(_: object, command: Command): Promise<void> {
  // The parent has --data-dir too, and takes it.
  const options = command.optsWithGlobals<RevokeOptions>();
  const entry = await chooseEntry(options, command);
  const config = loadConfig(undefined, { dataDir: options.dataDir });
  const file = await findRevokedFile(config);
  const before = await readFile(file, "utf8").catch(() => "");
  const line = `${before === "" || before.endsWith("\n") ? "" : "\n"}${JSON.stringify(entry)}\n`;
  // A file that servers would refuse is not made.
  Revocations.parse(before + line);
  await appendFile(file, line, { mode: 0o600, flush: true });
  console.log(options.json ? formatJson({ file, entry }) : `Revoked, in ${file}.`);
}

/**
 * Where the servers look. What is named has to be there: no server starts without it, so that a new
 * file is one that none reads.
 */
async function findRevokedFile({ revokedFile, dataDir }: Config): Promise<string> {
  const file = revokedFile ?? join(dataDir, "keys", "revoked");
  const place = revokedFile ?? dirname(file);
  const isThere = await access(place).then(
    () => true,
    () => false,
  );
  if (isThere) return file;
  if (revokedFile !== undefined)
    throw new Error(`${file} does not exist, so no server reads it: set TANDEM_REVOKED_FILE to the servers' file`);
  throw new Error(
    `${dataDir} is not the data folder of a server (\`tandem serve\` makes one), so no server reads keys/revoked in it. ` +
      "Name the folder with --data-dir or TANDEM_DATA_DIR, or the file with TANDEM_REVOKED_FILE",
  );
}

async function chooseEntry(
  { id, subject, certificate, tokenFile }: RevokeOptions,
  command: Command,
): Promise<RevocationEntry> {
  if (id !== undefined) return { token: id };
  if (subject !== undefined) return { subject, issued_until: new Date(wallMs()).toISOString() };
  if (certificate !== undefined) return { certificate };
  const read = givenToken({ token: undefined, tokenFile });
  if (!read) return command.error("error: say what to revoke: --token-file, --id, --subject or --certificate");
  const { jti } = decodeJwt(await read());
  if (jti === undefined) throw new Error("the token has no id (jti): revoke its subject instead");
  return { token: jti };
}
