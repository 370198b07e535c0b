import { setTimeout as wait } from "node:timers/promises";
import { type Client, ConnectError } from "@connectrpc/connect";
import { tandemReason } from "../../src/client/errors.ts";
import type { CdrService, StreamCdrsResponse } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { atCursor, atTime, EARLIEST, idsOf } from "../support/feed.ts";

type Start = typeof EARLIEST | ReturnType<typeof atCursor> | ReturnType<typeof atTime>;

/**
 * Follows a feed and keeps what it holds, sequence by sequence. Told that history was rewritten, it
 * begins again where it is told to.
 */
export class MirrorFollower implements AsyncDisposable {
  /** The epoch that it is in, as it was told when it opened its stream. */
  epoch: bigint | undefined;
  /** How often it was told that history was rewritten. */
  rewritings = 0;
  /** Where what came did not join on to what it had. */
  readonly faults: string[] = [];
  readonly #entries: string[] = [];
  #position = 0;
  readonly #everRead = new Set<string>();
  readonly #client: Client<typeof CdrService>;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #start: Start = EARLIEST;

  constructor(client: Client<typeof CdrService>) {
    this.#client = client;
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  /** The record of each sequence from 1 on, up to where it stands. */
  get mirror(): string[] {
    return this.#entries.slice(0, this.#position);
  }

  /** Whether a record was ever read, also one that is lost by now. */
  hasRead(recordId: string): boolean {
    return this.#everRead.has(recordId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running.catch(() => {});
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        let isFirst = true;
        for await (const message of this.#client.streamCdrs({ start: this.#start }, { signal })) {
          this.#apply(message, isFirst);
          isFirst = false;
        }
      } catch (error) {
        if (!signal.aborted) await this.#judge(ConnectError.from(error));
      }
    }
  }

  #apply(message: StreamCdrsResponse, isFirst: boolean): void {
    if (message.frame.case === "opened") this.epoch = message.frame.value.feedEpoch;
    const after = Number(message.afterSequence);
    const begins = isFirst && this.#start.position.case !== "cursor";
    // Where it begins again it keeps what lies before, and has to have all of that.
    if (begins ? after > this.#entries.length : after !== this.#position)
      this.faults.push(`${after} after ${this.#position}, from ${this.#start.position.case}`);
    const ids = idsOf([message]);
    if (BigInt(ids.length) !== message.throughSequence - message.afterSequence)
      this.faults.push(`${ids.length} entries in (${after}, ${message.throughSequence}]`);
    this.#entries.splice(after, ids.length, ...ids);
    this.#position = after + ids.length;
    for (const id of ids) this.#everRead.add(id);
    this.#start = atCursor(message.cursor);
  }

  async #judge(error: ConnectError): Promise<void> {
    const { reason, metadata = {} } = tandemReason(error) ?? {};
    if (reason !== "FEED_EPOCH_CHANGED") return void (await wait(50));
    this.rewritings++;
    const lostSince = metadata["lost_since"];
    this.#start = lostSince === undefined ? EARLIEST : atTime(BigInt(Date.parse(lostSince)) * 1_000n);
  }
}
