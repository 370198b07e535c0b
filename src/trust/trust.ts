import type { X509Certificate } from "node:crypto";
import { Expiries } from "../domain/expiries.ts";
import { OneAtATime } from "../domain/one-at-a-time.ts";
import { microsFromMs } from "../domain/time/instant.ts";
import { Revocations } from "./revocations.ts";

/**
 * Judges whether a live stream's credential is still good, and ends the stream when it is not.
 * False: it cannot be judged at the moment. Never rejects.
 */
export type Recheck = () => Promise<boolean>;

/** When a credential that could not be judged is judged again, milliseconds. */
const AGAIN_MS = 1_000;

/**
 * What is trusted now: the authorities of client certificates, and what was revoked. Both change
 * while the process runs; after every change, also of the tokens' keys, the credentials of live
 * streams are judged again.
 */
export class Trust {
  #authorities: readonly X509Certificate[];
  #revocations: Revocations;
  #generation = 0;
  /** When certificates expire, those of clients too. */
  readonly expiries = new Expiries();
  readonly #watchers = new Map<Recheck, OneAtATime<void>>();
  /** Streams whose credentials could not be judged. */
  readonly #unjudged = new Set<Recheck>();
  readonly #againMs: number;
  #again: NodeJS.Timeout | undefined;
  readonly #judgements = new OneAtATime(() => this.#judgeAll());

  constructor(
    authorities: readonly X509Certificate[] = [],
    revocations = new Revocations(),
    againMs: number = AGAIN_MS,
  ) {
    this.#againMs = againMs;
    this.#authorities = authorities;
    this.#revocations = revocations;
  }

  /** Counts the changes: what was found good under another number has to be judged again. */
  get generation(): number {
    return this.#generation;
  }

  get revocations(): Revocations {
    return this.#revocations;
  }

  setAuthorities(authorities: readonly X509Certificate[]): void {
    this.#authorities = authorities;
    this.changed();
  }

  setRevocations(revocations: Revocations): void {
    this.#revocations = revocations;
    this.changed();
  }

  /**
   * Whether a client's chain, from its own certificate up, as OpenSSL verified it at the handshake,
   * still ends at an authority: at the very certificate, or at one that signs in its place, such as
   * the same authority renewed.
   */
  trustsChain(chain: readonly X509Certificate[]): boolean {
    return this.#authorities.some((authority) => {
      const { fingerprint256, validTo } = authority;
      if (!authority.checkIssued(authority)) return false;
      if (this.expiries.endOf(fingerprint256, microsFromMs(Date.parse(validTo))) === undefined) return false;
      return chain.some((each) => each.fingerprint256 === fingerprint256 || isIssuedBy(each, authority));
    });
  }

  /**
   * Has a live stream judged again after every change, and at once if there was one since
   * `generation`. Dispose it when the stream ends.
   */
  watch(recheck: Recheck, generation: number): Disposable {
    this.#watchers.set(recheck, new OneAtATime(() => this.#judgeNow(recheck)));
    if (generation !== this.#generation) void this.#judge(recheck);
    return {
      [Symbol.dispose]: () => {
        this.#watchers.delete(recheck);
        this.#unjudged.delete(recheck);
      },
    };
  }

  /** To be called when something that credentials depend on has changed. */
  changed(): void {
    this.#generation += 1;
    void this.#judgements.run();
  }

  // One after the other, so that thousands of streams do not hold up the calls.
  async #judgeAll(): Promise<void> {
    for (const recheck of [...this.#watchers.keys()]) await this.#judge(recheck);
  }

  // Never two at a time for one stream: the older one might answer last.
  async #judge(recheck: Recheck): Promise<void> {
    await this.#watchers.get(recheck)?.run();
  }

  async #judgeNow(recheck: Recheck): Promise<void> {
    if (!this.#watchers.has(recheck)) return;
    const isJudged = await recheck();
    if (isJudged) this.#unjudged.delete(recheck);
    else if (this.#watchers.has(recheck)) this.#unjudged.add(recheck);
    if (this.#unjudged.size > 0) this.#again ??= setTimeout(() => this.#judgeAgain(), this.#againMs).unref();
  }

  async #judgeAgain(): Promise<void> {
    const unjudged = [...this.#unjudged];
    for (const recheck of unjudged) await this.#judge(recheck);
    this.#again = undefined;
    if (this.#unjudged.size > 0) this.#again = setTimeout(() => this.#judgeAgain(), this.#againMs).unref();
  }
}

function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}
