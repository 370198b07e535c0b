import { userInfo } from "node:os";

/** Who runs a command, for the logs: `cli:` and the user's name; under sudo, the caller's. */
export function commandLineActor(): string {
  return `cli:${userName()}`;
}

// In a container there may be no name for the user's number.
function userName(): string {
  // biome-ignore lint/style/noProcessEnv: it is sudo's word, and no setting of Tandem
  const called = process.env["SUDO_USER"];
  if (process.getuid?.() === 0 && called) return called;
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
