import { create, toJson } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError } from "commander";
import { tandemReason } from "../../client/errors.ts";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import {
  type AuditBreak,
  AuditBreakKind,
  AuditBreakKindSchema,
  AuditBreakSchema,
  PrivacyService,
  type VerifyAuditLogResponse,
  VerifyAuditLogResponseSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { readList } from "../shared/calls.ts";
import { type Connection, type ConnectionOptions, carrierOption, connect, csvCommand } from "../shared/connection.ts";
import { type CsvColumn, fieldColumns, printCsv } from "../shared/csv-output.ts";
import { countOf, formatCount, formatJson, printRows, type RowColumn, styled } from "../shared/output.ts";
import { enumName, parseBigWhole } from "../shared/values.ts";
import { type KeptEnd, readKeptEnds, writeKeptEnds } from "./kept-ends.ts";

interface VerifyOptions extends ConnectionOptions {
  readonly platform?: true;
  readonly firstSequence?: bigint;
  readonly lastSequence?: bigint;
  readonly expectedHash?: Uint8Array<ArrayBuffer>;
  readonly kept?: string;
}

/** What was found of a chain: a carrier's, or the platform's (empty). */
type Verified = VerifyAuditLogResponse & { readonly carrierId: string };

const MAX_SEQUENCE = 999_999_999_999_999;

export function auditVerifyCommand(): Command {
  return csvCommand("verify")
    .description("Prove that the audit log is whole: compute the hashes of its chains again, and compare.")
    .addOption(carrierOption("only this carrier's chain (default: every chain)"))
    .option("--platform", "only the platform's chain")
    .field("firstSequence", "--first <sequence>", "begin at this event", parseBigWhole(1, MAX_SEQUENCE))
    .field("lastSequence", "--last <sequence>", "end at this event", parseBigWhole(1, MAX_SEQUENCE))
    .field(
      "expectedHash",
      "--expect <hash>",
      "hash of the event at --last, printed earlier and kept elsewhere",
      parseHash,
    )
    .option("--kept <file>", "compare each chain with its end in this file; if all are whole, keep the new ends there")
    .addHelpText(
      "after",
      `
Whoever owns the database can cut a chain at its end or rewrite it, and nothing in the database shows it. So keep the last
hashes where they cannot write: --kept keeps them in a file (on another machine) and compares them the next time; --last and
--expect do it for one chain. Exit codes: 0 whole; 1 broken.

Examples:
  tandem privacy audit verify --kept audit-ends.json
  tandem privacy audit verify --carrier nordlys-tele --last 1204 --expect 5f1c...`,
    )
    .action(async (options: VerifyOptions, command: Command) => {
      assertTogether(options, command);
      const kept = options.kept === undefined ? undefined : await readKeptEnds(options.kept);
      using connection = await connect(options, "platform");
      const found = await verifyChains(connection, options);
      const verified = kept ? await compareWithKept(connection, found, kept, options) : found;
      print(verified, options);
      if (kept && options.kept !== undefined) sayIfNew(verified, kept, options.kept);
      if (verified.some(({ intact }) => !intact)) process.exitCode = 1;
      else if (kept && options.kept !== undefined) await writeKeptEnds(options.kept, newestEnds(verified, kept));
    });
}

function assertTogether({ carrierId: carrier, platform, kept, ...options }: VerifyOptions, command: Command): void {
  const isPart = (options.firstSequence ?? options.lastSequence ?? options.expectedHash) !== undefined;
  if (isPart && carrier === undefined && !platform)
    command.error("error: --first, --last and --expect are of one chain: add --carrier <id>, or --platform");
  if (carrier !== undefined && platform) command.error("error: either --carrier <id> or --platform");
  if (isPart && kept !== undefined)
    command.error("error: --kept says by itself what is expected: leave out --first, --last and --expect");
}

async function verifyChains(connection: Connection, options: VerifyOptions): Promise<Verified[]> {
  const client = connection.client(PrivacyService);
  const verify = async (carrierId: string) => ({
    ...(await client.verifyAuditLog({ ...options, carrierId })),
    carrierId,
  });
  const only = options.platform ? "" : options.carrierId;
  if (only !== undefined) return [await verify(only)];
  const verified: Verified[] = [];
  const method = CarrierService.method.listCarriers;
  const { carriers } = (await readList(connection, method, {}, "carriers")).answer;
  for (const carrierId of ["", ...carriers.map((carrier) => carrier.carrierId)]) {
    try {
      verified.push(await verify(carrierId));
    } catch (error) {
      if (tandemReason(error)?.reason !== "REGION_MISMATCH") throw error;
      console.error(`${carrierId} is kept in another region, and is not verified here.`);
    }
  }
  return verified;
}

/** Asks of each chain whether it has the kept end; one that is gone is broken: no chain ends. */
async function compareWithKept(
  connection: Connection,
  found: readonly Verified[],
  kept: ReadonlyMap<string, KeptEnd>,
  { carrierId, platform }: VerifyOptions,
): Promise<Verified[]> {
  const compared: Verified[] = [];
  for (const each of found) {
    const end = kept.get(each.carrierId);
    if (!each.intact || !end || (await hasEnd(connection, end))) compared.push(each);
    else {
      compared.push(withoutEnd(each, end));
      sayIfGone(each, end);
    }
  }
  const isAll = carrierId === undefined && !platform;
  const missing = isAll
    ? [...kept.values()].filter((end) => !found.some((each) => each.carrierId === end.carrierId))
    : [];
  const none = create(VerifyAuditLogResponseSchema);
  return [...compared, ...missing.map((end) => withoutEnd({ ...none, carrierId: end.carrierId }, end))];
}

/** A file with another name would have none either. */
function sayIfNew(verified: readonly Verified[], kept: ReadonlyMap<string, KeptEnd>, file: string): void {
  const fresh = verified.filter(({ carrierId }) => !kept.has(carrierId)).length;
  if (fresh > 0)
    console.error(
      `${countOf(fresh, "chain")} had no end in ${file} to be held against: the first time, or another file.`,
    );
}

function sayIfGone({ carrierId, firstSequence }: Verified, { sequence }: KeptEnd): void {
  if (firstSequence > 0n && firstSequence <= sequence) return;
  const chain = carrierId || "the platform";
  console.error(
    `${chain}: event ${sequence}, which was kept, is no longer there. If retention has deleted it, take the chain out of the file and verify again.`,
  );
}

async function hasEnd(connection: Connection, { carrierId, sequence, hash }: KeptEnd): Promise<boolean> {
  const asked = { carrierId, firstSequence: sequence, lastSequence: sequence, expectedHash: hash };
  return (await connection.client(PrivacyService).verifyAuditLog(asked)).intact;
}

function withoutEnd(chain: Verified, { sequence }: KeptEnd): Verified {
  const firstBreak = create(AuditBreakSchema, { kind: AuditBreakKind.EXPECTED_HASH, sequence });
  return { ...chain, intact: false, firstBreak };
}

/** Of a chain without an event, and of one that was not looked at, what was kept before. */
function newestEnds(verified: readonly Verified[], kept: ReadonlyMap<string, KeptEnd>): Iterable<KeptEnd> {
  const ends = new Map(kept);
  for (const { carrierId, lastSequence: sequence, lastHash } of verified)
    if (sequence > 0n) ends.set(carrierId, { carrierId, sequence, hash: new Uint8Array(lastHash) });
  return ends.values();
}

function print(verified: readonly Verified[], { json, csv }: VerifyOptions): void {
  if (json) {
    const chains = verified.map(({ carrierId, ...response }) => ({
      carrierId,
      ...(toJson(VerifyAuditLogResponseSchema, response, { alwaysEmitImplicit: true }) as object),
    }));
    console.log(formatJson({ chains }));
  } else if (csv) printCsv(CHAIN_CSV, verified);
  else {
    printRows(COLUMNS, verified, "No chains.");
    console.log(`\n${formatVerdict(verified)}`);
  }
}

function formatVerdict(verified: readonly Verified[]): string {
  const broken = verified.filter(({ intact }) => !intact);
  if (broken.length > 0) return styled("red", `BROKEN: ${broken.length} of ${countOf(verified.length, "chain")}.`);
  const events = verified.reduce((sum, { verifiedCount }) => sum + verifiedCount, 0n);
  return styled("green", `Whole: ${countOf(events, "event")} in ${countOf(verified.length, "chain")}.`);
}

const COLUMNS: readonly RowColumn<Verified>[] = [
  { title: "chain", read: ({ carrierId }) => carrierId || "the platform" },
  { title: "whole", read: ({ firstBreak }) => (firstBreak ? formatBreak(firstBreak) : "yes") },
  { title: "events", align: "right", read: ({ verifiedCount }) => formatCount(verifiedCount) },
  { title: "first", align: "right", read: ({ firstSequence }) => `${firstSequence}` },
  { title: "last", align: "right", read: ({ lastSequence }) => `${lastSequence}` },
  { title: "last hash, to keep elsewhere", read: ({ lastHash }) => Buffer.from(lastHash).toString("hex") },
];

function formatBreak({ kind, sequence }: AuditBreak): string {
  return `BROKEN at ${sequence}: ${BREAKS[kind] ?? BREAKS[AuditBreakKind.UNSPECIFIED]}`;
}

const BREAKS: Readonly<Record<AuditBreakKind, string>> = {
  [AuditBreakKind.CONTENT]: "the event was changed",
  [AuditBreakKind.LINK]: "the event before it is another than it was",
  [AuditBreakKind.GAP]: "an event is missing",
  [AuditBreakKind.EXPECTED_HASH]: "its hash is not the one expected: the chain was rewritten or cut",
  [AuditBreakKind.UNSPECIFIED]: "for a reason that this version does not know",
};

const CHAIN_CSV: readonly CsvColumn<Verified>[] = [
  { title: "carrier_id", read: ({ carrierId }) => carrierId },
  ...fieldColumns(
    VerifyAuditLogResponseSchema,
    ...["intact", "verified_count", "first_sequence", "last_sequence", "last_hash"],
  ),
  { title: "break_kind", read: ({ firstBreak }) => enumName(AuditBreakKindSchema, firstBreak?.kind ?? 0) },
  { title: "break_sequence", read: ({ firstBreak }) => firstBreak?.sequence },
];

function parseHash(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError("Expected 64 hexadecimal digits.");
  return new Uint8Array(Buffer.from(text, "hex"));
}
