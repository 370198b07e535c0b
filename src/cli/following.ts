import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";
import type { FeedEvent, FollowResult } from "../client/follow-feed.ts";
import {
  FeedClosingReason,
  type FeedEnd,
  FeedEndHeadSchema,
  type FeedStart,
  FeedStartEarliestSchema,
  FeedStartLatestSchema,
} from "../gen/tandem/type/v1/feed_pb.js";
import { describeError } from "./run-command.ts";
import { readTime } from "./values.ts";
import { TIME_HELP } from "./window.ts";

/** Where a follower starts, as it is written: earliest, latest, or an ingest time. */
export function parseFeedStart(text: string, words = "earliest, latest"): FeedStart["position"] {
  if (text === "earliest") return { case: "earliest", value: create(FeedStartEarliestSchema) };
  if (text === "latest") return { case: "latest", value: create(FeedStartLatestSchema) };
  return { case: "ingestTime", value: timeOr(text, words) };
}

/** Where a follower ends, as it is written: head, or an ingest time. */
export function parseFeedEnd(text: string): FeedEnd["position"] {
  if (text === "head") return { case: "head", value: create(FeedEndHeadSchema) };
  return { case: "ingestTime", value: timeOr(text, "head") };
}

/** Writes to standard output, and not faster than whoever reads. */
export function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function timeOr(text: string, words: string): Timestamp {
  const time = readTime(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError(`Expected ${words}, or a time. ${TIME_HELP}`);
}

/** Aborted by Ctrl-C, SIGTERM, or when the terminal goes; a second one ends the process at once. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      controller.abort();
      process.once(signal, () => process.exit(130));
    });
  }
  return controller.signal;
}

/** Tells on standard error what a user would otherwise wonder about: cuts, and that it goes on. */
export function createTeller(): (event: FeedEvent) => void {
  let cut: unknown;
  return (event) => {
    switch (event.kind) {
      case "CAUGHT_UP":
        console.error(`caught up at sequence ${event.position.sequence}; live`);
        break;
      case "CUT":
        // Told when it goes on; when it does not, the command's own error tells it.
        cut = event.error;
        break;
      case "CLOSING":
        if (event.reason !== FeedClosingReason.END_REACHED)
          console.error(`the server closes the stream: ${FeedClosingReason[event.reason]}`);
        break;
      case "RESUMING":
        if (cut !== undefined) console.error(`cut off: ${describeError(cut)}`);
        console.error(`resuming in ${Math.round(event.delayMs)} ms`);
        cut = undefined;
        break;
      case "OPENED":
      case "HEARTBEAT":
        break;
      default:
        throw new Error(`unknown event ${event satisfies never}`);
    }
  };
}

/** Says where following ended. */
export function printFollowEnd({ endReached, entryCount, position, resumes }: FollowResult): void {
  const why = endReached ? "the end was reached" : "stopped";
  const where = position === undefined ? "" : ` at sequence ${position.sequence}`;
  console.error(`${why}${where}: ${entryCount} entries, ${resumes} resumes`);
}
