import { maskSecrets } from "../../domain/privacy/secrets.ts";
import { visibleLines } from "../../domain/privacy/visible-text.ts";

/** From what is well to what keeps Tandem from serving, or from keeping what it serves. */
export type Severity = "ok" | "note" | "warning" | "error";

/** What a check found of one thing. */
export interface Finding {
  /** What was looked at, in a word. */
  readonly check: string;
  readonly severity: Severity;
  /** What was found. */
  readonly found: string;
  /** What to do about it. Empty when there is nothing to do. */
  readonly remedy: string;
}

/** Collects the findings of one check. */
export class Findings {
  readonly list: Finding[] = [];
  readonly #check: string;

  constructor(check: string) {
    this.#check = check;
  }

  ok(found: string): void {
    this.#add("ok", found, "");
  }

  note(found: string, remedy = ""): void {
    this.#add("note", found, remedy);
  }

  warn(found: string, remedy: string): void {
    this.#add("warning", found, remedy);
  }

  fail(found: string, remedy: string): void {
    this.#add("error", found, remedy);
  }

  /** A failure whose message says what is wrong, and mostly what to do, after a colon. */
  failFor(error: unknown, remedy = "see docs/operations.md"): void {
    const message = error instanceof Error ? error.message || error.name : String(error);
    const [, setting = "", rest = message] = /^(TANDEM_\w+: )(.*)$/s.exec(message) ?? [];
    const colon = rest.indexOf(": ");
    if (colon < 0) this.fail(message, remedy);
    else this.fail(setting + rest.slice(0, colon), rest.slice(colon + 2));
  }

  #add(severity: Severity, found: string, remedy: string): void {
    const [check, tidy] = [this.#check, (text: string) => visibleLines(maskSecrets(text))];
    this.list.push({ check, severity, found: tidy(found), remedy: tidy(remedy) });
  }
}

/** Runs a check. One that cannot be carried out is a finding too, and the next ones still run. */
export async function examine(
  check: string,
  look: (findings: Findings) => Promise<void> | void,
): Promise<readonly Finding[]> {
  const findings = new Findings(check);
  try {
    await look(findings);
  } catch (error) {
    const why = error instanceof Error ? error.message || error.name : String(error);
    findings.fail(`it could not be looked at: ${why}`, "mend what the other lines say, and look again");
  }
  return findings.list;
}
