import type { Command } from "commander";
import { AgreementService } from "../../gen/tandem/carrier/v1/agreement_service_pb.js";
import { type Agreement, CarrierStateSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { callAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { printFields } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

/** `tandem carriers agreement` */
export function agreementCommand(): Command {
  return csvCommand("agreement")
    .description("Show what is agreed with a carrier, as the carrier sees it; with --json: its limits too.")
    .addOption(carrierOption())
    .addHelpText("after", "\nExample:\n  tandem carriers agreement --carrier nordlys-tele")
    .action((options: ConnectionOptions) =>
      callAndPrint(options, AgreementService.method.getAgreement, {}, ({ agreement }) => agreement && print(agreement)),
    );
}

function print(agreement: Agreement): void {
  const { tolerances, graceMs, thresholds, lostSince } = agreement;
  const scopes = agreement.reportingScopes.map(({ directions, unanswered }) =>
    [...directions.map((direction) => enumName(DirectionSchema, direction)), unanswered && "unanswered"]
      .filter(Boolean)
      .join(" "),
  );
  printFields([
    ["carrier", agreement.carrierId],
    ["name", agreement.displayName],
    ["country", agreement.legalCountry],
    ["time zone", agreement.timeZone],
    ["region", agreement.region],
    ["SIP domain", agreement.sipDomain],
    ["state", enumName(CarrierStateSchema, agreement.state)],
    ["ranges", agreement.numberRanges.join(", ")],
    ["reports", scopes.join("; ")],
    ["tolerance", tolerances?.durationMs === undefined ? undefined : `${tolerances.durationMs} ms`],
    ["grace", `${graceMs} ms`],
    ["most net", thresholds?.netRatio?.toString()],
    ["most unmatched", thresholds?.unmatchedRatio?.toString()],
    ["credential", formatTime(agreement.credentialExpireTime) && `until ${formatTime(agreement.credentialExpireTime)}`],
    ["lost since", formatTime(lostSince)],
    ["revision", `${agreement.revision}, ${formatTime(agreement.updateTime)}`],
  ]);
}
