import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A proxy of HTTP/2 that loses answers: the server has done its work, its client is not told. */
export interface AnswerCutter extends AsyncDisposable {
  readonly url: string;
  /** How many answers it has lost. */
  readonly lost: number;
  /** Loses the next answers: as one begins, its connection is cut. */
  loseNext(count: number): void;
}

/** HTTP/2's HEADERS, in a frame's fourth byte. */
const HEADERS = 1;
const FRAME_HEAD = 9;

export async function startAnswerCutter(target: string): Promise<AnswerCutter> {
  const { hostname, port: targetPort } = new URL(target);
  const sockets = new Set<Socket>();
  let armed = 0;
  let lost = 0;
  const server = createServer((client) => {
    const upstream = connect({ host: hostname, port: Number(targetPort) });
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", cut).on("close", cut);
      socket.once("close", () => sockets.delete(socket));
    }
    client.pipe(upstream);
    const isAnswer = frameReader();
    upstream.on("data", (chunk: Buffer) => {
      if (isAnswer(chunk) && armed > 0) {
        armed -= 1;
        lost += 1;
        cut();
      } else if (!client.write(chunk)) {
        upstream.pause();
        client.once("drain", () => upstream.resume());
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get lost() {
      return lost;
    },
    loseNext: (count) => {
      armed = count;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Follows the frames of one direction; tells of each chunk whether an answer begins in it. */
function frameReader(): (chunk: Buffer) => boolean {
  let rest = Buffer.alloc(0);
  let skip = 0;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk.subarray(Math.min(skip, chunk.length))]);
    skip = Math.max(0, skip - chunk.length);
    let begins = false;
    while (rest.length >= FRAME_HEAD) {
      begins ||= rest.readUInt8(3) === HEADERS;
      const length = FRAME_HEAD + rest.readUIntBE(0, 3);
      skip = Math.max(0, length - rest.length);
      rest = rest.subarray(length);
    }
    return begins;
  };
}
