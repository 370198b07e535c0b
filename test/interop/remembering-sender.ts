import { randomUUID } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import { tandemReason } from "../../src/client/errors.ts";
import { ingestCdrs } from "../../src/client/ingest-cdrs.ts";
import { arraySource } from "../../src/client/upload-source.ts";
import type { CdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { calls } from "../support/feed.ts";

const RECORDS_AN_UPLOAD = 3;
const RETRY = { initialDelayMs: 50, maxDelayMs: 500 };

/** An upload that was finished, and when. */
interface Receipt {
  readonly records: readonly CallDetailRecord[];
  readonly atMs: number;
}

/**
 * Uploads a carrier's calls, one upload after the other, and sends again what got its receipt since
 * a loss, as the contract asks.
 */
export class RememberingSender implements AsyncDisposable {
  readonly receipts: Receipt[] = [];
  /** What it was told: since when something is lost. */
  readonly losses = new Set<number>();
  readonly #client: Client<typeof CdrService>;
  readonly #carrierId: string;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #isStopping = false;
  #lostSinceMs: number | undefined;

  constructor(client: Client<typeof CdrService>, carrierId: string) {
    this.#client = client;
    this.#carrierId = carrierId;
    this.#running = this.#run();
    this.#running.catch(() => {});
  }

  /** Ends once everything is sent. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running.catch(() => {});
  }

  async #run(): Promise<void> {
    for (let index = 0; !this.#isStopping || this.#lostSinceMs !== undefined; index++) {
      const lostSinceMs = this.#lostSinceMs;
      if (lostSinceMs !== undefined) {
        this.#lostSinceMs = undefined;
        await this.#send(this.receipts.filter(({ atMs }) => atMs >= lostSinceMs).flatMap(({ records }) => records));
        continue;
      }
      const records = calls(`${this.#carrierId}-${index}`, RECORDS_AN_UPLOAD);
      await this.#send(records);
      this.receipts.push({ records, atMs: Date.now() });
    }
  }

  async #send(records: readonly CallDetailRecord[]): Promise<void> {
    for (;;) {
      try {
        await ingestCdrs(this.#client, {
          carrierId: this.#carrierId,
          uploadId: randomUUID(),
          source: arraySource(records),
          signal: this.#ending.signal,
          retry: RETRY,
          onEvent: (event) => event.kind === "OPENED" && this.#hear(event.lostSinceMs),
        });
        return;
      } catch (error) {
        // It was cut in two by the loss: a new upload has it all.
        if (tandemReason(error)?.reason !== "UPLOAD_HISTORY_LOST") throw error;
      }
    }
  }

  #hear(lostSinceMs: number | undefined): void {
    if (lostSinceMs === undefined || this.losses.has(lostSinceMs)) return;
    this.losses.add(lostSinceMs);
    this.#lostSinceMs = Math.min(lostSinceMs, this.#lostSinceMs ?? lostSinceMs);
  }
}
