import { z } from "zod";
import { unauthenticated } from "../domain/errors.ts";

/** Most entries, so that a file gone wrong costs neither memory nor time. */
const MAX_ENTRIES = 10_000;
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

const text = z.string().min(1).max(512);
const Entry = z.union([
  z.strictObject({ token: text }),
  z.strictObject({ subject: text, issued_until: z.iso.datetime({ offset: true }).optional() }),
  z.strictObject({
    certificate: text
      .transform(normalizeFingerprint)
      .pipe(z.string().regex(/^[0-9a-f]{64}$/, "expected a SHA-256 fingerprint")),
  }),
]);

/**
 * One credential, or all of one subject's, that are no longer believed. A line of the file is one
 * of these as JSON.
 */
export type RevocationEntry = z.input<typeof Entry>;

/** What revocation depends on in a token. */
export interface RevocableToken {
  /** The claim `jti`. */
  readonly id: string | undefined;
  readonly subject: string;
  /** The claim `iat`, else `nbf`; seconds. */
  readonly issuedAtS: number | undefined;
}

/** The credentials that were revoked before they expire. */
export class Revocations {
  readonly #tokens = new Set<string>();
  /** The last second of issue that is refused, by subject. */
  readonly #subjects = new Map<string, number>();
  readonly #certificates = new Set<string>();

  /** @throws Error that names the first line that is wrong. */
  static parse(content: string): Revocations {
    if (content.length > MAX_TEXT_BYTES) throw new Error(`over ${MAX_TEXT_BYTES} bytes`);
    const revocations = new Revocations();
    const lines = content.split("\n").map((line) => line.trim());
    if (lines.filter(Boolean).length > MAX_ENTRIES) throw new Error(`over ${MAX_ENTRIES} entries`);
    for (const [index, line] of lines.entries()) {
      if (line === "" || line.startsWith("#")) continue;
      revocations.#add(parseLine(line, index + 1));
    }
    return revocations;
  }

  /** @throws TandemError UNAUTHENTICATED */
  assertToken({ id, subject, issuedAtS }: RevocableToken): void {
    const until = this.#subjects.get(subject);
    // A token that does not say when it was issued may have been issued before.
    const isOld = until !== undefined && (issuedAtS === undefined || issuedAtS <= until);
    if (isOld || (id !== undefined && this.#tokens.has(id)))
      throw unauthenticated("the credential has been revoked: get a new one");
  }

  /**
   * Whether the certificate with this SHA-256 fingerprint, in hex with or without colons, is
   * refused.
   */
  hasCertificate(fingerprint256: string): boolean {
    return this.#certificates.size > 0 && this.#certificates.has(normalizeFingerprint(fingerprint256));
  }

  #add(entry: z.output<typeof Entry>): void {
    if ("token" in entry) this.#tokens.add(entry.token);
    else if ("certificate" in entry) this.#certificates.add(entry.certificate);
    else {
      const untilS =
        entry.issued_until === undefined ? Number.POSITIVE_INFINITY : Date.parse(entry.issued_until) / 1000;
      this.#subjects.set(entry.subject, Math.max(untilS, this.#subjects.get(entry.subject) ?? 0));
    }
  }
}

function parseLine(line: string, number: number): z.output<typeof Entry> {
  try {
    return Entry.parse(JSON.parse(line));
  } catch (error) {
    throw new Error(
      `line ${number} is none of {"token":"<jti>"}, {"subject":"<sub>","issued_until":"<time>"}, {"certificate":"<SHA-256>"}`,
      { cause: error },
    );
  }
}

function normalizeFingerprint(fingerprint: string): string {
  return fingerprint.replaceAll(":", "").toLowerCase();
}
