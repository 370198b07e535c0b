import { statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Config } from "../../config/config.ts";
import { loadSoundConfig } from "../../config/sound-config.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { exists } from "../../files/files.ts";
import { findExposures } from "../../start/exposures.ts";
import { parseCertificates } from "../../trust/certificates.ts";
import { fetchKeySet } from "../../trust/token-keys.ts";
import { examine, type Finding, type Findings } from "./finding.ts";

/** The settings as far as they can be read, and which variables are wrong. */
export interface SoundSettings {
  readonly config: Config | undefined;
  readonly left: ReadonlySet<string>;
}

const ALL_SETTINGS = "`tandem serve --help` lists every setting, with what it may be";

/** Reads the settings that `serve` would take. */
export async function checkSettings(
  options: { readonly dataDir?: string; readonly databaseUrl?: string },
  add: (found: readonly Finding[]) => void,
): Promise<SoundSettings> {
  const { config, mistakes, left } = loadSoundConfig(options);
  add(
    await examine("settings", (findings) => {
      for (const mistake of mistakes) findings.fail(mistake, `no server starts with it: correct it; ${ALL_SETTINGS}`);
      if (mistakes.length === 0) findings.ok(`they can be read; the data folder is ${config?.dataDir}`);
      if (config?.synchronousCommit === "off")
        findings.warn(
          "TANDEM_SYNCHRONOUS_COMMIT is off: a crash loses what was acknowledged",
          "set it to on, or to remote_apply with a synchronous replica; off is for tests",
        );
    }),
  );
  return { config, left };
}

/** Looks at files and addresses that more people can reach than need to. */
export function checkExposures(config: Config): Promise<readonly Finding[]> {
  return examine("exposure", async (findings) => {
    const exposures = await findExposures(config);
    for (const { where, problem } of exposures) {
      const place = where["file"] === undefined ? where["address"] : `${where["file"]} (mode ${where["mode"]})`;
      const colon = problem.lastIndexOf(": ");
      findings.warn(`${place}: ${problem.slice(0, colon)}`, problem.slice(colon + 2));
    }
    if (exposures.length === 0) findings.ok("secrets are their owner's alone");
  });
}

const DAY_MS = 86_400_000;
/** Most that a certificate may have left and still be told of, milliseconds. */
const SOON_MS = 30 * DAY_MS;

/** Looks when certificates end. */
export function checkCertificates({ tls }: Config): Promise<readonly Finding[]> {
  return examine("certificates", (findings) => {
    if (!tls) {
      findings.ok("none: it listens without TLS");
      return;
    }
    const renew =
      "put a new certificate and its key in the place of the old files: a running server takes them within seconds";
    for (const [index, certificate] of parseCertificates(tls.cert).entries())
      tellEnd(
        findings,
        index === 0 ? "TANDEM_TLS_CERT" : `TANDEM_TLS_CERT, certificate ${index + 1}`,
        certificate,
        renew,
      );
    const replace =
      "add the authority's new certificate to the file: clients with certificates of this one are refused";
    for (const certificate of tls.clientCa ? parseCertificates(tls.clientCa) : [])
      tellEnd(findings, "TANDEM_TLS_CLIENT_CA", certificate, replace);
  });
}

type Certificate = ReturnType<typeof parseCertificates>[number];

function tellEnd(findings: Findings, setting: string, certificate: Certificate, remedy: string): void {
  const { validFrom, validTo } = certificate;
  const [from, to, now] = [Date.parse(validFrom), Date.parse(validTo), wallMs()];
  const who = `${setting} (${certificate.subject?.replaceAll("\n", ", ") || "no subject"})`;
  const end = new Date(to).toISOString().slice(0, 16);
  if (to <= now) findings.fail(`${who} expired at ${end}Z`, remedy);
  else if (from > now)
    findings.fail(`${who} is not valid before ${new Date(from).toISOString()}`, "correct the clock, or wait");
  // Some authorities give certificates for a few days: those are told of in their last third.
  else if (to - now < Math.min(SOON_MS, (to - from) / 3))
    findings.warn(`${who} expires at ${end}Z, in ${formatRest(to - now)}`, remedy);
  else findings.ok(`${who} is valid until ${end}Z`);
}

function formatRest(ms: number): string {
  return ms < DAY_MS ? `${Math.floor(ms / 3_600_000)} hours` : `${Math.floor(ms / DAY_MS)} days`;
}

/** Asks the issuer's URL for the keys that tokens are checked with. */
export function checkIssuer({ tokens }: Config): Promise<readonly Finding[]> {
  return examine("issuer", async (findings) => {
    const { keys } = tokens;
    if (keys.kind === "file") findings.ok(`${keys.keySet.keys.length} keys in ${keys.file}`);
    if (keys.kind !== "url") return;
    try {
      findings.ok(`${(await fetchKeySet(keys.url)).keys.length} keys at ${keys.url.href}`);
    } catch (error) {
      const { message, cause } = error as Error;
      const why =
        cause instanceof Error ? `${message} (${cause.message || (cause as NodeJS.ErrnoException).code})` : message;
      findings.fail(
        `${keys.url.href} gives no keys: ${why}`,
        "every token is refused until it answers: look at the issuer, or correct TANDEM_JWKS_URL",
      );
    }
  });
}

const GIB = 1024 ** 3;

/** Looks how much room there is where Tandem writes. `minFreeGib`: less is an error. */
export function checkDisk(config: Config, minFreeGib: number): Promise<readonly Finding[]> {
  return examine("disk", async (findings) => {
    const folders = new Set([config.dataDir, dirname(config.erasureJournal)]);
    for (const folder of folders) {
      const { bavail, bsize, files, ffree } = await statfs(await nearestFolder(folder));
      const free = (bavail * bsize) / GIB;
      const found = `${free.toFixed(1)} GiB are free in ${folder}`;
      const remedy =
        "free some, or move the folder to a larger disk; retention (`tandem privacy retention`) says what is kept for how long";
      if (free < minFreeGib) findings.fail(`${found}, less than ${minFreeGib}: without room nothing is stored`, remedy);
      else if (free < 4 * minFreeGib) findings.warn(found, remedy);
      else findings.ok(found);
      if (files > 0 && ffree < 1_000)
        findings.fail(
          `${ffree} files more can be made in ${folder}`,
          "delete files: its disk has no room for their entries",
        );
    }
    if (config.databaseUrl !== undefined)
      findings.note("the disk of your PostgreSQL cannot be seen from here", "watch it on its own machine");
  });
}

async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder))
    if ((await exists(folder)) || folder === dirname(folder)) return folder;
}

/** Whether the data folder is whole: a restore may have been interrupted. */
export function checkDataFolder({ dataDir }: Config): Promise<readonly Finding[]> {
  return examine("data folder", async (findings) => {
    if (await exists(join(dataDir, "restoring")))
      findings.fail(
        `a restore into ${dataDir} has not finished`,
        "wait for it; if it was interrupted, delete the folder and run `tandem restore` again",
      );
  });
}
