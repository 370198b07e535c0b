import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { tandemReason } from "../../src/client/errors.ts";
import { createTandemTransport, type TandemTransport } from "../../src/client/transport.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { durationOf } from "./upload-kinds.ts";

export interface HostileOptions {
  readonly url: string;
  /** The address that it comes from: limits by address are its own. */
  readonly localAddress: string;
}

export interface HostileCarrierOptions extends HostileOptions {
  readonly token: string;
  /** Calls at once. */
  readonly calls: number;
  /** Records of a batch that is as large as it may be. */
  readonly batchRecords: number;
  /** Longest rest after a refusal, milliseconds. */
  readonly maxRestMs: number;
}

/** How often calls ended in which way. */
export type Ends = Record<string, number>;

/** Longest that one call may take, milliseconds. */
const PATIENCE_MS = 20_000;
const PERIOD = {
  startTime: { seconds: BigInt(Math.floor(Date.now() / 1_000) - 86_400) },
  endTime: { seconds: BigInt(Math.floor(Date.now() / 1_000) + 86_400) },
};

let named = 0;

/**
 * Takes all that a carrier may take, until the signal aborts: as many calls at once as it likes,
 * large pages, large batches, uploads of which all is rejected, streams that are opened and left,
 * numbers of others. Nothing of it is malformed.
 */
export async function runHostileCarrier(options: HostileCarrierOptions, ends: Ends, stop: AbortSignal): Promise<void> {
  using transport = connectFrom(options, options.token);
  const acts = actsOf(transport, options);
  const caller = async (index: number) => {
    for (let turn = index; !stop.aborted; turn++) {
      const act = acts[turn % acts.length] as Act;
      const end = await endOf(act(AbortSignal.any([stop, AbortSignal.timeout(PATIENCE_MS)])));
      ends[end] = (ends[end] ?? 0) + 1;
      if (end !== "OK") await wait(options.maxRestMs, undefined, { signal: stop }).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: options.calls }, (_, index) => caller(index)));
}

/** A connection that comes from an address of its own. */
export function connectFrom({ url, localAddress }: HostileOptions, token: string): TandemTransport {
  const { hostname, port } = new URL(url);
  return createTandemTransport({
    baseUrl: url,
    token,
    createConnection: () => connect({ host: hostname, port: Number(port), localAddress }),
  });
}

/** How a call ended: OK, its reason, or that it had none. */
export async function endOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    return tandemReason(ConnectError.from(error))?.reason ?? "none";
  }
}

type Act = (signal: AbortSignal) => Promise<unknown>;

function actsOf(transport: TandemTransport, { batchRecords }: HostileCarrierOptions): Act[] {
  const cdrs = createClient(CdrService, transport);
  const durations = createClient(DurationService, transport);
  const numbers = createClient(NumberService, transport);
  const getCdr: Act = (signal) => cdrs.getCdr({ name: { case: "recordId", value: "alpha-0" } }, { signal });
  const bigList: Act = (signal) => cdrs.listCdrs({ ...PERIOD, pageSize: 1_000 }, { signal });
  return [
    getCdr,
    bigList,
    (signal) => append(durations, batchRecords, false, signal),
    getCdr,
    (signal) => leaveStream(cdrs, signal),
    (signal) => append(durations, batchRecords, true, signal),
    getCdr,
    (signal) => probeNumbers(numbers, signal),
    (signal) => durations.listUploads({ pageSize: 1_000 }, { signal }),
  ];
}

function append(durations: Client<typeof DurationService>, count: number, isBroken: boolean, signal: AbortSignal) {
  const upload = `alpha-${process.pid}-${named++}`;
  const records = Array.from({ length: count }, (_, index) => durationOf({ id: `${upload}-${index}`, isBroken }));
  return durations.appendDurations({ uploadId: upload, records }, { signal });
}

async function leaveStream(cdrs: Client<typeof CdrService>, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const start = { position: { case: "earliest", value: {} } } as const;
  const messages = cdrs.streamCdrs({ start }, { signal: AbortSignal.any([signal, stop.signal]) });
  await messages[Symbol.asyncIterator]().next();
  stop.abort();
}

// They are bravo's. As many as say something about others, as few as cost nothing.
function probeNumbers(numbers: Client<typeof NumberService>, signal: AbortSignal) {
  const items = Array.from({ length: 20 }, (_, index) => ({
    phoneNumber: `+4532900${String((named + index) % 1_000).padStart(3, "0")}`,
    numberType: 1,
    usages: [1],
    capabilities: [1],
    countryCode: "DK",
  }));
  return numbers.provisionNumbers({ requestId: `probe-${process.pid}-${named++}`, items }, { signal });
}
