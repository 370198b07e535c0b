import { userInfo } from "node:os";

/** Who does what a command does to the database itself, for the audit log: `cli:` and the operating system's user. */
export function commandLineActor(): string {
  return `cli:${userName()}`;
}

// In a container there may be no name for the user's number.
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
