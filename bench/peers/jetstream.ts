import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareOnce, run } from "../../test/interop/toolchain.ts";
import { treeCpuMicros } from "../cpu-time.ts";
import { type Peer, Program, type RecordFile, sent } from "./peer.ts";

const SOURCES = join(import.meta.dirname, "jetstream");
const FILES = ["go.mod", "go.sum", "main.go"];

/** How records are published. */
export type Way = "atomic" | "deduplicated";

const NAMES: Readonly<Record<Way, string>> = {
  atomic: "NATS JetStream 2.15, atomic batches of 1,000",
  deduplicated: "NATS JetStream 2.15, each record deduplicated",
};
const LACKS = "no verdict on a record, no look into it; retention by age only";
const LACKS_OF: Readonly<Record<Way, string>> = {
  atomic: `${LACKS}; a batch that is sent again is stored again`,
  deduplicated: `${LACKS}; a record is known again for two minutes`,
};

/** JetStream with `sync_interval: always` and file storage, a stream for each carrier. */
export async function openJetStream(way: Way, file: RecordFile): Promise<Peer> {
  const program = await build();
  const folder = await mkdtemp(join(tmpdir(), "tandem-bench-jetstream-"));
  const server = new Program(program, ["serve", folder]);
  const url = await server.line();
  return {
    name: NAMES[way],
    lacks: LACKS_OF[way],
    async send(name) {
      await using client = new Program(program, ["publish", url, file.path, name, way]);
      const before = treeCpuMicros(server.pid);
      const result = await client.go();
      return sent(file, treeCpuMicros(server.pid) - before, result);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function build(): Promise<string> {
  const texts = await Promise.all(FILES.map((name) => readFile(join(SOURCES, name))));
  const folder = await prepareOnce("jetstream", texts, async (made) => {
    for (const name of FILES) await copyFile(join(SOURCES, name), join(made, name));
    await run("go", ["build", "-o", "peer", "."], { cwd: made });
  });
  return join(folder, "peer");
}
