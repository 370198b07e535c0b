// Sends the records of a file to insert-server.ts, a stream for each carrier with so many records
// on their way. Arguments: the port, the file.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Client, credentials } from "@grpc/grpc-js";
import { CARRIERS } from "./peer.ts";

const IN_FLIGHT = 256;
const [, , port = "", path = ""] = process.argv;

function recordsOf(all: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < all.length; ) {
    const end = at + 4 + all.readUInt32BE(at);
    records.push(all.subarray(at + 4, end));
    at = end;
  }
  return records;
}

const plain = (bytes: Buffer) => bytes;

function send(client: Client, records: readonly Buffer[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = client.makeBidiStreamRequest("/peer.Durations/Report", plain, plain);
    let [next, stored] = [0, 0];
    const more = () => {
      for (; next < Math.min(records.length, stored + IN_FLIGHT); next++) call.write(records[next] as Buffer);
      if (stored === records.length) call.end();
    };
    call.on("data", () => {
      stored += 1;
      more();
    });
    call.on("error", reject);
    call.on("end", () => resolve(stored));
    more();
  });
}

const records = recordsOf(await readFile(path));
const share = records.length / CARRIERS;
const clients = Array.from({ length: CARRIERS }, () => new Client(`127.0.0.1:${port}`, credentials.createInsecure()));
process.stdout.write("ready\n");
for await (const _ of createInterface({ input: process.stdin })) break;
const started = performance.now();
const counts = await Promise.all(
  clients.map((client, at) => send(client, records.slice(at * share, (at + 1) * share))),
);
const seconds = (performance.now() - started) / 1_000;
for (const client of clients) client.close();
process.stdout.write(`${JSON.stringify({ seconds, stored: counts.reduce((sum, count) => sum + count, 0) })}\n`);
process.exit(0);
