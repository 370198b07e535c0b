import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../../src/store/postgres/embedded-postgres.ts";
import { prepareOnce, run } from "../../test/interop/toolchain.ts";
import { treeCpuMicros } from "../cpu-time.ts";
import { type Peer, Program, type RecordFile, sent } from "./peer.ts";

const PACKAGE = "umadb==0.7.8";
const CLIENT = join(import.meta.dirname, "umadb_client.py");

/** UmaDB: an event store that syncs each append before it answers. */
export async function openUmaDb(file: RecordFile): Promise<Peer> {
  const programs = await install();
  const folder = await mkdtemp(join(tmpdir(), "tandem-bench-umadb-"));
  const address = `127.0.0.1:${await findFreePort()}`;
  const server = new Program(join(programs, "umadb"), ["--listen", address, "--db-path", join(folder, "uma.db")]);
  return {
    name: "UmaDB 0.7, appends of 1,000",
    lacks: "no verdict on a record, no look into it; one that is sent again is stored again; no carriers, no retention",
    async send(name) {
      const args = [CLIENT, `http://${address}`, file.path, name];
      await using client = new Program(join(programs, "python"), args);
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

async function install(): Promise<string> {
  const folder = await prepareOnce("umadb", [PACKAGE], async (made) => {
    await run("python3", ["-m", "venv", made]);
    await run(join(made, "bin/python"), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]);
  });
  return join(folder, "bin");
}
