// What somebody writes in an afternoon: a gRPC server that INSERTs each record as it comes. Its
// argument names the database; it prints its port.

import { fromBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import pg from "pg";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { INSERT_EACH, PLAIN_COLUMNS } from "./plain-table.ts";

const pool = new pg.Pool({ connectionString: process.argv[2], max: 16 });
const text = `INSERT INTO ${INSERT_EACH} VALUES (${PLAIN_COLUMNS.map((_, index) => `$${index + 1}`).join(", ")})`;

function insert(content: Buffer): Promise<unknown> {
  const record = fromBinary(CallDurationSchema, content);
  const { recordId, recordDate, calling, called, inviteTime, answerTime, endTime, connectedDurationMs } = record;
  const dates = [inviteTime, answerTime, endTime].map((time) => time && timestampDate(time));
  const values = [recordId, recordDate, calling?.value, called?.value, ...dates, connectedDurationMs, content];
  return pool.query({ name: "insert", text, values });
}

function report(call: ServerDuplexStream<Buffer, Buffer>): void {
  const answers: Promise<unknown>[] = [];
  call.on("data", (content: Buffer) => {
    const inserted = insert(content).then(() => call.write(Buffer.alloc(0)));
    inserted.catch((error: Error) => call.destroy(error));
    answers.push(inserted);
  });
  call.on("end", () => void Promise.allSettled(answers).then(() => call.end()));
}

const plain = (bytes: Buffer) => bytes;
const server = new Server();
server.addService(
  {
    report: {
      path: "/peer.Durations/Report",
      requestStream: true,
      responseStream: true,
      requestSerialize: plain,
      requestDeserialize: plain,
      responseSerialize: plain,
      responseDeserialize: plain,
    },
  },
  { report },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${port}\n`);
});
