import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { addCarrier, assignNumbers } from "../../test/support/carriers.ts";
import { benchDuration, benchNumbers } from "../records.ts";
import { median } from "../statistics.ts";
import { emptyTables, runUploads, CARRIERS as UPLOADERS } from "../upload.ts";
import { type BenchWorld, openBenchWorld } from "../world.ts";
import { openJetStream } from "./jetstream.ts";
import { CARRIERS, type Peer, type RecordFile, type Sent } from "./peer.ts";
import { createPlainTables } from "./plain-table.ts";
import { openCopy, openInsertEach } from "./postgres.ts";
import { openUmaDb } from "./umadb.ts";

/** What a peer came to, medians of all rounds; `overTandem` is of the rates of each round. */
export interface PeerFigures {
  readonly name: string;
  readonly lacks: string;
  readonly recordsPerSecond: number;
  readonly cpuMicros: number;
  /** Tandem's rate over this one's. */
  readonly tandemOver: number;
}

/** Each record is an INSERT of its own: fewer are enough. */
const INSERTED_SHARE = 10;

/**
 * Tandem's uploads and its peers with records of the same bytes, four carriers at once, in
 * alternation. A peer that this machine cannot run is named with the reason and left out.
 */
export async function measurePeers(rounds: number, recordsEach: number): Promise<Record<string, PeerFigures>> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "tandem-bench-peers-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const world = stack.use(await openBenchWorld());
  await createPlainTables(world);
  const file = await writeRecords(join(folder, "records"), CARRIERS * recordsEach);
  const few = await writeRecords(join(folder, "few"), Math.ceil(recordsEach / INSERTED_SHARE) * CARRIERS);
  const openers: Record<string, () => Promise<Peer>> = {
    tandem: () => openTandem(world, recordsEach),
    jetstream_atomic: () => openJetStream("atomic", file),
    jetstream_deduplicated: () => openJetStream("deduplicated", file),
    umadb: () => openUmaDb(file),
    insert_each: () => openInsertEach(world, few),
    copy: () => openCopy(world, file, folder),
  };
  const peers = new Map<string, Peer>();
  for (const [name, open] of Object.entries(openers)) {
    const peer = await open().catch(notHere(name));
    if (peer) peers.set(name, stack.use(peer));
  }
  const runs = new Map<string, Sent[]>();
  for (let round = 0; round <= rounds; round++)
    for (const [name, peer] of peers) {
      const run = await peer.send(`${name}${round}`);
      // The first round is to warm up.
      if (round > 0) runs.set(name, [...(runs.get(name) ?? []), run]);
    }
  return figuresOf(peers, runs);
}

function notHere(name: string): (error: Error) => undefined {
  return (error) => {
    process.stderr.write(`peers: ${name} is left out: ${error.message.split("\n")[0]}\n`);
  };
}

function figuresOf(peers: ReadonlyMap<string, Peer>, runs: ReadonlyMap<string, readonly Sent[]>) {
  const ours = runs.get("tandem") ?? [];
  const figures: Record<string, PeerFigures> = {};
  for (const [key, { name, lacks }] of peers) {
    const each = runs.get(key) ?? [];
    figures[key] = {
      name,
      lacks,
      recordsPerSecond: median(each.map(({ recordsPerSecond }) => recordsPerSecond)),
      cpuMicros: median(each.map(({ cpuMicros }) => cpuMicros)),
      tandemOver: median(each.map((run, at) => (ours[at]?.recordsPerSecond ?? Number.NaN) / run.recordsPerSecond)),
    };
  }
  return figures;
}

async function writeRecords(path: string, count: number): Promise<RecordFile> {
  const nowMs = Date.now();
  const parts: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const content = toBinary(CallDurationSchema, create(CallDurationSchema, benchDuration("peer-run0", index, nowMs)));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(content.length);
    parts.push(length, Buffer.from(content));
  }
  await writeFile(path, Buffer.concat(parts));
  return { path, count };
}

async function openTandem(world: BenchWorld, recordsEach: number): Promise<Peer> {
  const { db } = world.app.services;
  for (const carrier of UPLOADERS) {
    await addCarrier(db, carrier);
    await assignNumbers(db, carrier, benchNumbers(), "customer-1");
  }
  return {
    name: "Tandem, UploadDurations in batches of 1,000",
    lacks: "",
    async send(run) {
      await emptyTables(world);
      const { uploadPerSecond, uploadCpuMicros } = await runUploads(world, run, recordsEach, 1_000);
      return { recordsPerSecond: uploadPerSecond, cpuMicros: uploadCpuMicros.server + uploadCpuMicros.postgres };
    },
    async [Symbol.asyncDispose]() {},
  };
}
