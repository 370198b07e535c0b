import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../test/interop/toolchain.ts";
import { treeCpuMicros } from "../cpu-time.ts";
import { benchDuration } from "../records.ts";
import type { BenchWorld } from "../world.ts";
import { type Peer, Program, type RecordFile, sent } from "./peer.ts";
import { COPIED, countPlainRows, emptyPlainTable, INSERT_EACH } from "./plain-table.ts";

const LACKS = "no verdict on a record, no revisions, no feed; one table, no partitions, no row security";

/** A gRPC server of grpc-js that INSERTs each record by itself, each commit durable. */
export async function openInsertEach(world: BenchWorld, file: RecordFile): Promise<Peer> {
  const url = world.app.services.db.pool.options.connectionString ?? "";
  const server = new Program(process.execPath, [join(import.meta.dirname, "insert-server.ts"), url]);
  const port = await server.line();
  const cpu = () => treeCpuMicros(server.pid) + treeCpuMicros(world.postgresPid);
  return {
    name: "grpc-js with one INSERT each",
    lacks: `${LACKS}; no bound on what waits`,
    async send() {
      await emptyPlainTable(world, INSERT_EACH);
      await using client = new Program(process.execPath, [
        join(import.meta.dirname, "insert-client.ts"),
        port,
        file.path,
      ]);
      const before = cpu();
      const { seconds } = await client.go();
      const spent = cpu() - before;
      return sent(file, spent, { seconds, stored: await countPlainRows(world, INSERT_EACH) });
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** psql's \copy of a CSV of the same records, over one connection, in one transaction. */
export async function openCopy(world: BenchWorld, file: RecordFile, folder: string): Promise<Peer> {
  await run("psql", ["--version"]);
  const csv = join(folder, "records.csv");
  await writeFile(csv, csvOf(file.count));
  const url = world.app.services.db.pool.options.connectionString ?? "";
  return {
    name: "\\copy of a CSV",
    lacks: `${LACKS}; all or nothing`,
    async send() {
      await emptyPlainTable(world, COPIED);
      const before = treeCpuMicros(world.postgresPid);
      const started = performance.now();
      await run("psql", ["--quiet", "--no-psqlrc", url, "-c", `\\copy ${COPIED} FROM '${csv}' WITH (FORMAT csv)`]);
      const seconds = (performance.now() - started) / 1_000;
      const spent = treeCpuMicros(world.postgresPid) - before;
      return sent(file, spent, { seconds, stored: await countPlainRows(world, COPIED) });
    },
    async [Symbol.asyncDispose]() {},
  };
}

function csvOf(count: number): string {
  const nowMs = Date.now();
  const lines: string[] = [];
  for (let index = 0; index < count; index++) {
    const record = benchDuration("peer", index, nowMs);
    const times = [record.inviteTime, record.answerTime, record.endTime].map((time) =>
      new Date(Number(time?.seconds) * 1_000).toISOString(),
    );
    const parties = [record.calling?.value, record.called?.value];
    lines.push([record.recordId, record.recordDate, ...parties, ...times, record.connectedDurationMs, PAYLOAD].join());
  }
  return `${lines.join("\n")}\n`;
}

/** As long as an encoded record. */
const PAYLOAD = `\\x${"5a".repeat(190)}`;
