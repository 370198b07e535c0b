import type { Socket } from "node:net";

/** What every HTTP/2 connection begins with (RFC 9113, 3.4), and no HTTP/1.1 request does. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Also once the bytes are handed on: a few of them would keep 64 KiB of Node's pool of buffers. */
const NOTHING = Buffer.alloc(0);

/**
 * Looks at a connection's first bytes, which may come in any number of packets, puts them back and
 * hands the connection on. One that has not said what it is within the time is closed.
 */
export function routeByPreface(
  socket: Socket,
  limitMs: number,
  routes: { http1: () => void; http2: () => void },
): void {
  let seen = NOTHING;
  const timer = setTimeout(() => socket.destroy(), limitMs);
  const onReadable = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    const isLikePreface = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (isLikePreface && length < PREFACE.length) return;
    leave();
    socket.unshift(seen);
    seen = NOTHING;
    if (isLikePreface) routes.http2();
    else routes.http1();
  };
  const leave = () => {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("close", leave);
    socket.off("end", onEnd);
  };
  // It sent nothing, or less than a preface: nobody is there to answer.
  const onEnd = () => socket.destroy();
  socket.on("readable", onReadable);
  socket.on("close", leave);
  socket.on("end", onEnd);
  // Without a listener, a reset at this point would end the process.
  socket.on("error", () => {});
}
