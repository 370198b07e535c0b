import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "@connectrpc/connect";
import type { Command } from "commander";
import {
  type ErasePhoneNumberRequestSchema,
  ErasePhoneNumberResponseSchema,
  type Erasure,
  ErasureState,
  PrivacyService,
  SubjectRoleSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { ask, callAndPrint, printAnswer } from "../shared/calls.ts";
import { type ConnectionOptions, connect, csvCommand } from "../shared/connection.ts";
import type { Filled } from "../shared/fields.ts";
import { enumOption, parseTime } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { NUMBER_HELP, readNumber } from "./number-argument.ts";
import { printErasure } from "./print-erasure.ts";

/** Between two looks at an erasure that is waited for, milliseconds. */
const LOOK_MS = 500;

type EraseOptions = ConnectionOptions & Filled<typeof ErasePhoneNumberRequestSchema> & { readonly wait?: true };

export function eraseCommand(): Command {
  return csvCommand("erase")
    .description("Erase a person's number from every record of a period (platform only).")
    .argument("<number>", NUMBER_HELP)
    .field("startTime", "--from <time>", "when the number became the person's", parseTime)
    .field("endTime", "--to <time>", "until when", parseTime)
    .addOption(enumOption("--role <role>", "the person's role in the calls", SubjectRoleSchema))
    .field("caseReference", "--case <reference>", "the request's case, without names or numbers")
    .field("verifiedBy", "--verified-by <team>", "who verified that the number was the person's")
    .field("validateOnly", "--dry-run", "show what would be erased and what not")
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
const REQUIRED = ["startTime", "endTime", "role", "caseReference", "verifiedBy"] as const;

async function runErase(number: string, options: EraseOptions, command: Command): Promise<void> {
  const missing = REQUIRED.find((field) => options[field] === undefined);
  const flags = command.options.find((option) => option.attributeName() === missing)?.flags;
  if (flags !== undefined) command.error(`error: required option '${flags}' not specified`);
  const phoneNumber = await readNumber(number);
  using connection = await connect(options, "platform");
  const client = connection.client(PrivacyService);
  const response = await ask(connection, PrivacyService.method.erasePhoneNumber, { ...options, phoneNumber });
  let { erasure } = response;
  if (options.wait && !options.validateOnly && erasure) erasure = await untilComplete(client, erasure);
  const answer = { ...response, ...(erasure && { erasure }) };
  printAnswer(options, ErasePhoneNumberResponseSchema, answer, () => printErasure({ erasure }));
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
  return csvCommand("status")
    .description("Show an erasure's state and receipt (platform only).")
    .argument("<erasure>", "the erasure's id")
    .addHelpText("after", "\nExample:\n  tandem privacy erase status 0198c2f0")
    .action((erasureId: string, options: ConnectionOptions) =>
      callAndPrint(options, PrivacyService.method.getErasure, { erasureId }, printErasure),
    );
}
