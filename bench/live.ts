import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { findProxy, openProxy, type ProxyName } from "../test/support/proxies.ts";
import { treeCpuMicros } from "./cpu-time.ts";
import { type HelperProcess, startHelper } from "./helper-process.ts";
import type { LiveClientArgument, LiveClientResult } from "./live-client.ts";
import type { LiveServerArgument, LiveServerReady, LiveServerResult } from "./live-server.ts";
import { quantile } from "./statistics.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** From a COMMIT to the client, milliseconds. */
export interface LiveLatency {
  /** Streams of the process that commits. */
  same: { p50Ms: number; p99Ms: number };
  /** Streams of another process on the same database. */
  other: { p50Ms: number; p99Ms: number };
  /** What was reached of the 1,000 records a second that were meant. */
  recordsPerSecond: number;
  /** For a record that goes to both clients. */
  serversCpuMicros: number;
  postgresCpuMicros: number;
}

const CARRIERS = 100;

/** Delays of streams behind a proxy, and of the same process's without it. */
export interface ProxiedLatency {
  direct: { p50Ms: number; p99Ms: number };
  proxied: { p50Ms: number; p99Ms: number };
}

/**
 * Records at 1,000 a second over 100 carriers, in commits of ten to one carrier after the other.
 * Each carrier's feed is followed live twice: at the process that commits, and at a second one on
 * the same database. For each commit the time from when COMMIT returned to when a client had it
 * decoded; all clocks are the machine's monotonic one.
 */
export async function measureLive(seconds: number): Promise<LiveLatency> {
  await using world = await openBenchWorld();
  const { tokens, ...writes } = await addCarriers(world);
  const servers = [startServer(world, { ...writes, seconds }), startServer(world, undefined)] as const;
  const [writer] = servers;
  const pids: number[] = [];
  const clients: Client[] = [];
  for (const server of servers) {
    const { url, pid } = await server.ready;
    pids.push(pid);
    clients.push(await startClient({ url, tokens, isHttp1: false }));
  }
  const cpu = () => pids.reduce((sum, pid) => sum + treeCpuMicros(pid), 0);
  const [serversBefore, postgresBefore] = [cpu(), treeCpuMicros(world.postgresPid)];
  writer.go();
  const written = await writer.result;
  const records = written.commits.length * written.recordsEach;
  const [serversCpu, postgresCpu] = [cpu() - serversBefore, treeCpuMicros(world.postgresPid) - postgresBefore];
  const [same, other] = await endClients(clients, written);
  servers[1].go();
  await servers[1].result;
  return {
    same: quantilesOf(same ?? []),
    other: quantilesOf(other ?? []),
    recordsPerSecond: records / written.seconds,
    serversCpuMicros: serversCpu / records,
    postgresCpuMicros: postgresCpu / records,
  };
}

/**
 * The same, with one process: followed straight by gRPC, and by Connect over HTTP/1.1 behind a
 * proxy. Undefined: the proxy is not installed.
 */
export async function measureLiveBehind(name: ProxyName, seconds: number): Promise<ProxiedLatency | undefined> {
  const program = await findProxy(name);
  if (program === undefined) return undefined;
  await using world = await openBenchWorld();
  const { tokens, ...writes } = await addCarriers(world);
  const writer = startServer(world, { ...writes, seconds });
  const { url } = await writer.ready;
  await using proxy = await openProxy(name, program, url);
  const clients = [
    await startClient({ url, tokens, isHttp1: false }),
    await startClient({ url: proxy.url, ca: proxy.ca, tokens, isHttp1: true }),
  ];
  writer.go();
  const [direct, proxied] = await endClients(clients, await writer.result);
  return { direct: quantilesOf(direct ?? []), proxied: quantilesOf(proxied ?? []) };
}

async function addCarriers(world: BenchWorld): Promise<{ carriers: string[]; numbers: string[]; tokens: string[] }> {
  const carriers = Array.from({ length: CARRIERS }, (_, index) => `bench-${index}`);
  const numbers = carriers.map((_, index) => `+441632961${String(index).padStart(3, "0")}`);
  for (const [index, carrierId] of carriers.entries()) {
    await addCarrier(world.app.services.db, carrierId);
    await assignNumbers(world.app.services.db, carrierId, numbers.slice(index, index + 1), "customer-1");
  }
  const tokens = await Promise.all(carriers.map((carrierId) => world.carrierToken(carrierId)));
  return { carriers, numbers, tokens };
}

type Client = HelperProcess<LiveClientResult, unknown>;

async function startClient(argument: LiveClientArgument): Promise<Client> {
  const client = startHelper<LiveClientResult>("live-client.ts", argument);
  await client.ready;
  return client;
}

/** The delays of each client. */
async function endClients(clients: readonly Client[], written: LiveServerResult): Promise<number[][]> {
  for (const client of clients) client.go();
  return Promise.all(clients.map(async ({ result }) => delaysOf(written, await result)));
}

function startServer(
  world: BenchWorld,
  writes: LiveServerArgument["writes"],
): HelperProcess<LiveServerResult, LiveServerReady> {
  const databaseUrl = String(world.app.services.db.pool.options.connectionString);
  const { dataDir } = world;
  const argument: LiveServerArgument = { settings: { databaseUrl, dataDir, issueTokens: true }, writes };
  return startHelper("live-server.ts", argument, ["--max-semi-space-size=64"]);
}

// Every commit has as many records, so one delay a commit is one a record.
function delaysOf({ commits }: LiveServerResult, { batches }: LiveClientResult): number[] {
  return commits.map(([carrier, head, at]) => {
    const received = batches[carrier]?.find(([through]) => through >= head);
    if (!received) throw new Error(`sequence ${head} of carrier ${carrier} did not come`);
    return Number(BigInt(received[1]) - BigInt(at)) / 1e6;
  });
}

function quantilesOf(delays: readonly number[]) {
  return { p50Ms: quantile(delays, 0.5), p99Ms: quantile(delays, 0.99) };
}
