// Reverse proxies in front of a server, for HTTP/1.1. Nothing is installed: a program that is not
// there is left out.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type ProxyName = "nginx" | "haproxy";
export const PROXIES: readonly ProxyName[] = ["nginx", "haproxy"];

/** A proxy that runs. */
export interface RunningProxy extends AsyncDisposable {
  readonly url: string;
}

const LOOK_MS = 20;
const START_MS = 10_000;

/** Where a proxy's program is; undefined: it is not installed. */
export async function findProxy(name: ProxyName): Promise<string | undefined> {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"]) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** Starts a proxy in front of a server on the loopback. */
export async function openProxy(name: ProxyName, program: string, serverUrl: string): Promise<RunningProxy> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-proxy-"));
  const port = await findFreePort();
  const file = join(folder, "proxy.conf");
  await writeFile(file, CONFIGURATIONS[name]({ folder, port, server: new URL(serverUrl).host }));
  const args = name === "nginx" ? ["-p", folder, "-c", file] : ["-f", file];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  await untilListening(child, port);
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

// No buffers: a stream's messages go on at once.
const CONFIGURATIONS: Record<ProxyName, (at: { folder: string; port: number; server: string }) => string> = {
  nginx: ({ folder, port, server }) => `
    daemon off; master_process off; pid ${folder}/pid; error_log stderr warn;
    events { worker_connections 4096; }
    http {
      access_log off;
      ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((of) => `${of}_temp_path ${folder}/${of};`).join(" ")}
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://${server}; proxy_http_version 1.1; proxy_set_header Connection "";
          proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 1h;
        }
      }
    }
`,
  haproxy: ({ port, server }) => `
global
  maxconn 4096
defaults
  mode http
  option http-no-delay
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend clients
  bind 127.0.0.1:${port}
  default_backend tandem
backend tandem
  server one ${server}
`,
};

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("there is no free port");
  return address.port;
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`);
    if (performance.now() > deadline) throw new Error(`${child.spawnfile} does not listen`);
    await sleep(LOOK_MS);
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
