import { toJson } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError } from "commander";
import { tandemReason } from "../../client/errors.ts";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import {
  type AuditBreak,
  AuditBreakKind,
  AuditBreakKindSchema,
  PrivacyService,
  type VerifyAuditLogResponse,
  VerifyAuditLogResponseSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { type Connection, type ConnectionOptions, connect, remoteCommand } from "../connection.ts";
import { type CsvColumn, csvOption, printCsv } from "../csv-output.ts";
import { type Column, countOf, formatCount, formatJson, printTable, styled } from "../output.ts";
import { enumName, parseWhole } from "../values.ts";

interface VerifyOptions extends ConnectionOptions {
  readonly platform?: true;
  readonly first?: number;
  readonly last?: number;
  readonly expect?: Uint8Array<ArrayBuffer>;
  readonly csv?: true;
}

/** A chain, and what verifying it came to. */
interface Verified {
  /** Empty: the platform's. */
  readonly carrierId: string;
  readonly response: VerifyAuditLogResponse;
}

const MAX_SEQUENCE = 999_999_999_999_999;

/** `tandem privacy audit verify` */
export function auditVerifyCommand(): Command {
  return remoteCommand("verify")
    .description("Prove that the audit log is whole: compute the hashes of its chains again, and compare.")
    .option("--carrier <id>", "only this carrier's chain (default: every chain)")
    .option("--platform", "only the platform's chain")
    .option("--first <sequence>", "begin at this event", parseWhole(1, MAX_SEQUENCE))
    .option("--last <sequence>", "end at this event", parseWhole(1, MAX_SEQUENCE))
    .option("--expect <hash>", "the hash of the event at --last, as it was printed and kept elsewhere", parseHash)
    .addOption(csvOption())
    .addHelpText(
      "after",
      `
Keep the last hashes where nobody who can write to the database can write. With --last and --expect they show a chain that
was written anew from the beginning, or cut, which nothing in the database can. Exit code 0: whole; 1: broken.

Examples:
  tandem privacy audit verify
  tandem privacy audit verify --carrier nordlys-tele --last 1204 --expect 5f1c...`,
    )
    .action(async (options: VerifyOptions, command: Command) => {
      const isOne = options.carrier !== undefined || options.platform;
      if (!isOne && (options.first ?? options.last ?? options.expect) !== undefined)
        command.error("error: --first, --last and --expect are of one chain: add --carrier <id>, or --platform");
      if (options.carrier !== undefined && options.platform)
        command.error("error: either --carrier <id> or --platform");
      using connection = await connect(options, "platform");
      const verified = await verifyChains(connection, options);
      print(verified, options);
      if (verified.some(({ response }) => !response.intact)) process.exitCode = 1;
    });
}

async function verifyChains(connection: Connection, options: VerifyOptions): Promise<Verified[]> {
  const { carrier, platform, first, last, expect } = options;
  const client = connection.client(PrivacyService);
  const verify = (carrierId: string) =>
    client.verifyAuditLog({
      carrierId,
      ...(first === undefined ? {} : { firstSequence: BigInt(first) }),
      ...(last === undefined ? {} : { lastSequence: BigInt(last) }),
      ...(expect === undefined ? {} : { expectedHash: expect }),
    });
  const only = platform ? "" : carrier;
  if (only !== undefined) return [{ carrierId: only, response: await verify(only) }];
  const verified: Verified[] = [];
  for (const carrierId of ["", ...(await listCarriers(connection))]) {
    try {
      verified.push({ carrierId, response: await verify(carrierId) });
    } catch (error) {
      if (tandemReason(error)?.reason !== "REGION_MISMATCH") throw error;
      console.error(`${carrierId} is kept in another region, and is not verified here.`);
    }
  }
  return verified;
}

async function listCarriers(connection: Connection): Promise<string[]> {
  const carrierIds: string[] = [];
  let pageToken = "";
  do {
    const page = await connection.client(CarrierService).listCarriers({ pageSize: 1_000, pageToken });
    carrierIds.push(...page.carriers.map((carrier) => carrier.carrierId));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return carrierIds;
}

function print(verified: readonly Verified[], { json, csv }: VerifyOptions): void {
  if (json) {
    const chains = verified.map(({ carrierId, response }) => ({
      carrierId,
      ...(toJson(VerifyAuditLogResponseSchema, response, { alwaysEmitImplicit: true }) as object),
    }));
    console.log(formatJson({ chains }));
  } else if (csv) printCsv(CHAIN_CSV, verified);
  else {
    printTable(COLUMNS, verified.map(cellsOf), "No chains.");
    console.log(`\n${formatVerdict(verified)}`);
  }
}

function formatVerdict(verified: readonly Verified[]): string {
  const broken = verified.filter(({ response }) => !response.intact);
  if (broken.length > 0) return styled("red", `BROKEN: ${broken.length} of ${countOf(verified.length, "chain")}.`);
  const events = verified.reduce((sum, { response }) => sum + response.verifiedCount, 0n);
  return styled("green", `Whole: ${countOf(events, "event")} in ${countOf(verified.length, "chain")}.`);
}

const COLUMNS: readonly Column[] = [
  { title: "chain" },
  { title: "whole" },
  { title: "events", align: "right" },
  { title: "first", align: "right" },
  { title: "last", align: "right" },
  { title: "last hash, to keep elsewhere" },
];

function cellsOf({ carrierId, response }: Verified): string[] {
  return [
    carrierId || "the platform",
    response.firstBreak ? `BROKEN at ${response.firstBreak.sequence}: ${describeBreak(response.firstBreak)}` : "yes",
    formatCount(response.verifiedCount),
    `${response.firstSequence}`,
    `${response.lastSequence}`,
    Buffer.from(response.lastHash).toString("hex"),
  ];
}

function describeBreak({ kind }: AuditBreak): string {
  switch (kind) {
    case AuditBreakKind.CONTENT:
      return "the event was changed";
    case AuditBreakKind.LINK:
      return "the event before it is another than it was";
    case AuditBreakKind.GAP:
      return "an event is missing";
    case AuditBreakKind.EXPECTED_HASH:
      return "its hash is not the one expected: the chain was rewritten or cut";
    case AuditBreakKind.UNSPECIFIED:
      return "for a reason that this version does not know";
    default:
      return kind satisfies never;
  }
}

function breakOf({ firstBreak }: VerifyAuditLogResponse): string | undefined {
  return firstBreak && enumName(AuditBreakKindSchema, firstBreak.kind);
}

const CHAIN_CSV: readonly CsvColumn<Verified>[] = [
  { title: "carrier_id", read: ({ carrierId }) => carrierId },
  { title: "intact", read: ({ response }) => response.intact },
  { title: "verified_count", read: ({ response }) => response.verifiedCount },
  { title: "first_sequence", read: ({ response }) => response.firstSequence },
  { title: "last_sequence", read: ({ response }) => response.lastSequence },
  { title: "last_hash", read: ({ response }) => Buffer.from(response.lastHash).toString("hex") },
  { title: "break_kind", read: ({ response }) => breakOf(response) },
  { title: "break_sequence", read: ({ response }) => response.firstBreak?.sequence },
];

function parseHash(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError("Expected 64 hexadecimal digits.");
  return new Uint8Array(Buffer.from(text, "hex"));
}
