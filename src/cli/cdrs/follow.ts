import type { Command } from "commander";
import { followCdrs } from "../../client/follow-cdrs.ts";
import { given } from "../../domain/given.ts";
import { CdrFilterSchema, CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type ConnectionOptions, connect, csvCommand } from "../shared/connection.ts";
import { filterOf } from "../shared/fields.ts";
import { createWriter, type FollowingOptions, followToEnd, withFollowing } from "../shared/following.ts";
import { TIME_HELP } from "../shared/window.ts";
import { withCdrFilter } from "./cdr-filter.ts";
import { formatCdrLine } from "./print-cdrs.ts";

/** `tandem cdrs follow` */
export function followCommand(): Command {
  const command = csvCommand("follow").description(
    "Follow the feed: print each record as it arrives, resume after every cut, until Ctrl-C or the end.",
  );
  return withCdrFilter(withFollowing(command, { consumers: true }))
    .addHelpText(
      "after",
      `
A start is required, because a silent default loses data. ${TIME_HELP}
With --json: one record per line, in the contract's JSON. Messages go to standard error.

Examples:
  tandem cdrs follow --carrier nordlys-tele --from latest
  tandem cdrs follow --carrier nordlys-tele --from earliest --until head --json > records.jsonl
  tandem cdrs follow --carrier nordlys-tele --from earliest --cursor-file cdrs.cursor --quality poor`,
    )
    .action(follow);
}

async function follow(options: ConnectionOptions & FollowingOptions): Promise<void> {
  using connection = await connect(options, "carrier");
  await followToEnd(options, (following) =>
    followCdrs(connection.client(CdrService), {
      ...following,
      ...given({ filter: filterOf(CdrFilterSchema, options) }),
      apply: createWriter(options, {
        schema: CallDetailRecordSchema,
        formatLine: formatCdrLine,
        onErasure: "delete what it names",
      }),
    }),
  );
}
