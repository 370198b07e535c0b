/** Whether the process serves, for /readyz; it says the same as health does of the server. */
export class Readiness {
  #why: () => string | undefined = () => "starting";

  /** The process serves from now on, unless the database is silent or a drain has begun. */
  serves(database: { readonly answers: boolean }, draining: AbortSignal): void {
    this.#why = () => {
      if (draining.aborted) return "draining";
      return database.answers ? undefined : "the database does not answer";
    };
  }

  /** Why it does not serve; undefined: it does. */
  get why(): string | undefined {
    return this.#why();
  }
}
