import { expect, test } from "vitest";
import { listCliCommands } from "../../../test/support/cli-commands.ts";
import { ErrorReasonSchema } from "../../gen/tandem/type/v1/error_reason_pb.js";
import { MENDING_COMMANDS, mendingCommand } from "./mending.ts";

test("every command that mends an error is there", async () => {
  const paths = (await listCliCommands()).map(({ path }) => path);
  for (const command of MENDING_COMMANDS) {
    const words = command.replace(/^tandem /, "").replace(/ [<-].*$/, "");
    expect(paths).toContain(words);
  }
});

test("a reason's command names the carrier that the error is about", () => {
  expect(mendingCommand("CARRIER_SUSPENDED", { carrier_id: "alpha" })).toBe("tandem carriers activate alpha");
  expect(mendingCommand("CARRIER_SUSPENDED", {})).toBe("tandem carriers activate <id>");
  expect(mendingCommand("INVALID_ARGUMENT", {})).toBeUndefined();
});

test("every reason that has a command is one of the contract", () => {
  const known = ErrorReasonSchema.values.map(({ name }) => name.replace("ERROR_REASON_", ""));
  const withCommand = known.filter((reason) => mendingCommand(reason, {}) !== undefined);
  expect(withCommand).toHaveLength(MENDING_COMMANDS.length);
});
