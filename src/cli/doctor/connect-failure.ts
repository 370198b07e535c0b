import type { Config } from "../../config/config.ts";

const UNREACHED = ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "ENOENT", "EACCES"];

/** Why no connection to the database came about, and what to do. */
export function describeConnectFailure(error: unknown, { databaseUrl }: Config): { why: string; remedy: string } {
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  if (databaseUrl === undefined) return embedded(message);
  const url = URL.parse(databaseUrl);
  const [user, name] = [url?.username || "its login", url?.pathname.slice(1) || "tandem"];
  if (UNREACHED.includes(code) || /timeout exceeded|terminated|timed out/i.test(message))
    return {
      why: `nothing answers there (${code || message})`,
      remedy: "start PostgreSQL there, let this machine reach it, or correct TANDEM_DATABASE_URL",
    };
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return {
        why: `no machine has the name ${url?.hostname}`,
        remedy: "correct the host in TANDEM_DATABASE_URL, or the DNS",
      };
    case "28P01":
    case "28000":
      return {
        why: `it refuses the login ${user}: ${message}`,
        remedy: `correct user and password in TANDEM_DATABASE_URL; pg_hba.conf has to let ${user} in from here`,
      };
    case "3D000":
      return {
        why: `it has no database ${name}`,
        remedy: `createdb ${name}, or correct the name in TANDEM_DATABASE_URL`,
      };
    case "53300":
      return {
        why: `all its connections are taken: ${message}`,
        remedy: "raise max_connections, or set a smaller TANDEM_DATABASE_POOL in each process",
      };
    case "57P03":
      return {
        why: `it does not take connections at the moment: ${message}`,
        remedy: "wait until it has started or recovered",
      };
    default:
      return { why: message, remedy: "try the same URL with psql, and correct TANDEM_DATABASE_URL" };
  }
}

function embedded(message: string): { why: string; remedy: string } {
  const colon = message.indexOf(": ");
  return colon < 0
    ? { why: message, remedy: "read postgres.log in the folder `postgres` of the data folder" }
    : { why: message.slice(0, colon), remedy: message.slice(colon + 2) };
}
