import { Command } from "commander";
import { visibleText } from "../domain/privacy/visible-text.ts";
import type { VerificationWatch } from "../store/verify/verification.ts";
import { untilInterrupted } from "./shared/following.ts";
import { formatJson, styled } from "./shared/output.ts";
import { tellNowAndThen } from "./shared/progress.ts";
import { openStoreOnly, type StoreOptions, withStoreOptions } from "./shared/store-options.ts";

/** `tandem verify`: reads all that is stored, and says whether it adds up. */
export function verifyCommand(): Command {
  return withStoreOptions(new Command("verify"))
    .option("--json", "print JSON: {ok, findings}")
    .addHelpText(
      "after",
      "\nOnly reads, and may run beside a server. Exit codes: 0 consistent; 1 not, with every finding listed.\n\nExamples:\n  tandem verify\n  tandem verify --json",
    )
    .action(async (options: StoreOptions & { json?: true }) => {
      await using store = await openStoreOnly(options);
      const { verifyAll } = await import("../store/verify/verify.ts");
      const findings = await verifyAll(store.db, untilInterrupted(), tellNowAndThen(describeProgress));
      const ok = findings.length === 0;
      if (options.json) console.log(formatJson({ ok, findings }));
      else {
        for (const { carrierId, check, detail } of findings)
          console.log(`${styled("red", visibleText(carrierId) || "the platform")}  ${check}: ${visibleText(detail)}`);
        console.log(ok ? "All adds up." : `${findings.length} findings.`);
      }
      if (!ok) process.exitCode = 1;
    });
}

function describeProgress({ carrierId, check, pages }: Parameters<VerificationWatch>[0]): string {
  return `${visibleText(carrierId) || "the platform"}: ${check}, page ${pages}`;
}
