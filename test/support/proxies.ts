// Proxies in front of a server, with the files that are shipped. Nothing is installed here.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, constants, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CertificateFiles, createAuthority } from "./certificates.ts";
import { EVENTUALLY_MS } from "./limits.ts";
import { findFreePort } from "./server-process.ts";

export type ProxyName = "nginx" | "haproxy";
export const PROXIES: readonly ProxyName[] = ["nginx", "haproxy"];

/** A proxy that runs, with TLS on the loopback. */
export interface RunningProxy extends AsyncDisposable {
  readonly url: string;
  /** Who has issued its certificate. */
  readonly ca: string;
  /** Has it read its file again, as an operator does. Streams that are open go on. */
  reload(): void;
}

const LOOK_MS = 20;
/** How much of what a program says is kept, for the error of a start that fails. */
const SAID_CHUNKS = 100;
const DEPLOY = new URL("../../deploy/", import.meta.url);
const FILES: Record<ProxyName, string> = { nginx: "nginx.conf", haproxy: "haproxy.cfg" };
/** Where distributions keep programs that are no user's. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/usr/local/sbin"];

/** Where a proxy's program is; undefined: it is not installed. */
export async function findProxy(name: ProxyName): Promise<string | undefined> {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), ...SYSTEM_FOLDERS]) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/**
 * Starts a proxy with the file that is shipped, in front of a server on the loopback.
 * @param change changes the file, for instance back to what the program does by default.
 */
export async function openProxy(
  name: ProxyName,
  program: string,
  serverUrl: string,
  change: (file: string) => string = (file) => file,
): Promise<RunningProxy> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-proxy-"));
  // nginx's workers run under another account.
  await chmod(folder, 0o755);
  const port = await findFreePort();
  const authority = await createAuthority("proxy");
  const certificate = await authority.issue([{ type: "ip", value: "127.0.0.1" }]);
  const file = join(folder, FILES[name]);
  const shipped = await readFile(new URL(FILES[name], DEPLOY), "utf8");
  const at = { folder, port, server: new URL(serverUrl).host };
  await writeCertificate(folder, certificate);
  await writeFile(file, change(HERE[name](shipped, at)));
  const args = name === "nginx" ? ["-p", folder, "-c", file] : ["-W", "-f", file];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const said: string[] = [];
  child.stderr?.on("data", (chunk: Buffer) => said.length < SAID_CHUNKS && said.push(String(chunk)));
  await untilListening(child, port, said);
  return {
    url: `https://127.0.0.1:${port}`,
    ca: authority.cert,
    reload: () => void child.kill(name === "nginx" ? "SIGHUP" : "SIGUSR2"),
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function writeCertificate(folder: string, { cert, key }: CertificateFiles): Promise<void> {
  await writeFile(join(folder, "fullchain.pem"), cert);
  await writeFile(join(folder, "key.pem"), key, { mode: 0o600 });
  await writeFile(join(folder, "fullchain-and-key.pem"), `${cert}\n${key}`, { mode: 0o600 });
}

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly server: string;
}

// The shipped file, but for where things are, and for more files than a test's machine may allow.
const HERE: Record<ProxyName, (file: string, place: Place) => string> = {
  nginx: (file, { folder, port, server }) =>
    replaceIn(file, {
      "worker_rlimit_nofile 65536;": "",
      "worker_connections 20480;": "worker_connections 400;",
      "pid /run/nginx.pid;": `pid ${folder}/pid; daemon off;`,
      "http {": `http {\n${temporaryFolders(folder)}`,
      "listen 443": `listen 127.0.0.1:${port}`,
      "/etc/tandem/tls": folder,
      "127.0.0.1:8443": server,
    }),
  haproxy: (file, { folder, port, server }) =>
    replaceIn(file, {
      "maxconn 20000": "maxconn 400",
      "bind :443": `bind 127.0.0.1:${port}`,
      "/etc/tandem/tls": folder,
      "127.0.0.1:8443": server,
    }),
};

function temporaryFolders(folder: string): string {
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
}

/** Replaces each text wherever it is; it has to be there. */
export function replaceIn(file: string, replacements: Readonly<Record<string, string>>): string {
  let changed = file;
  for (const [text, replacement] of Object.entries(replacements)) {
    if (!changed.includes(text)) throw new Error(`the file does not have "${text}"`);
    changed = changed.replaceAll(text, replacement);
  }
  return changed;
}

async function untilListening(child: ChildProcess, port: number, said: readonly string[]): Promise<void> {
  const deadline = performance.now() + EVENTUALLY_MS;
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}: ${said.join("")}`);
    if (performance.now() > deadline) throw new Error(`${child.spawnfile} does not listen: ${said.join("")}`);
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
