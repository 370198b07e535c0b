import { setTimeout as wait } from "node:timers/promises";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { Command } from "commander";
import {
  ErasePhoneNumberResponseSchema,
  type Erasure,
  ErasureState,
  PrivacyService,
  SubjectRoleSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { callAndPrint, requestIdOf } from "../shared/calls.ts";
import { type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { printMessage } from "../shared/output.ts";
import { enumOption, parseTime } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { NUMBER_HELP, readNumber } from "./number-argument.ts";
import { printErasure } from "./print-erasure.ts";

/** Between two looks at an erasure that is waited for, milliseconds. */
const LOOK_MS = 500;

interface EraseOptions extends ConnectionOptions {
  readonly from: Timestamp;
  readonly to: Timestamp;
  readonly role: number;
  readonly case: string;
  readonly verifiedBy: string;
  readonly requestId?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
}

export function eraseCommand(): Command {
  return remoteCommand("erase")
    .description("Erase a person's number from every record of a period (platform only).")
    .argument("<number>", NUMBER_HELP)
    .option("--from <time>", "when the number became the person's", parseTime)
    .option("--to <time>", "until when", parseTime)
    .addOption(enumOption("--role <role>", "the person's role in the calls", SubjectRoleSchema))
    .option("--case <reference>", "the request's case, without names or numbers")
    .option("--verified-by <team>", "who verified that the number was the person's")
    .option("--dry-run", "show what would be erased and what not")
    .option("--wait", "wait for the receipt")
    .option("--request-id <id>", "makes the call repeatable: the same id gets the same erasure")
    .addHelpText(
      "after",
      `
The receipt says what was erased, what was not, why, and until when. Erasing cannot be undone: try --dry-run first.

${TIME_HELP}

Example:
  tandem privacy erase +4510000001 --from 2026-01-01 --to 2026-03-01 --role subscriber --case DSR-17 --verified-by "privacy desk" --wait`,
    )
    .action(runErase)
    .addCommand(statusCommand());
}

// Required of the command itself and not of its `status`, of which commander would ask them too.
const REQUIRED = [
  ["from", "--from <time>"],
  ["to", "--to <time>"],
  ["role", "--role <role>"],
  ["case", "--case <reference>"],
  ["verifiedBy", "--verified-by <team>"],
] as const;

async function runErase(number: string, options: EraseOptions, command: Command): Promise<void> {
  for (const [name, flags] of REQUIRED)
    if (options[name] === undefined) command.error(`error: required option '${flags}' not specified`);
  const phoneNumber = await readNumber(number);
  using connection = await connect(options, "platform");
  const client = connection.client(PrivacyService);
  const response = await client.erasePhoneNumber({
    requestId: requestIdOf(options),
    phoneNumber,
    startTime: options.from,
    endTime: options.to,
    role: options.role,
    caseReference: options.case,
    verifiedBy: options.verifiedBy,
    validateOnly: options.dryRun ?? false,
  });
  let { erasure } = response;
  if (options.wait && !options.dryRun && erasure) erasure = await untilComplete(client, erasure);
  if (options.json) printMessage(ErasePhoneNumberResponseSchema, { ...response, ...(erasure && { erasure }) });
  else printErasure({ erasure });
}

async function untilComplete(client: Client<typeof PrivacyService>, accepted: Erasure): Promise<Erasure> {
  let erasure = accepted;
  while (erasure.state < ErasureState.COMPLETED_WITH_EXCEPTIONS) {
    await wait(LOOK_MS);
    erasure = (await client.getErasure({ erasureId: erasure.erasureId })).erasure ?? erasure;
  }
  return erasure;
}

function statusCommand(): Command {
  return remoteCommand("status")
    .description("Show an erasure's state and receipt (platform only).")
    .argument("<erasure>", "the erasure's id")
    .action((erasureId: string, options: ConnectionOptions) =>
      callAndPrint(options, PrivacyService.method.getErasure, { erasureId }, printErasure),
    );
}
