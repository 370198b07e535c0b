// What Tandem uses of Node 24 that Node 22 lacks, defined where it is missing: `tandem` imports it
// before anything else. The client uses none of it. `using` itself is translated when the package
// is built.

/** Ends what it was given, the last first. Errors are kept as `using` keeps them. */
abstract class Stack<Resource> {
  #ends: ((() => unknown) | undefined)[] = [];
  #isDisposed = false;

  get disposed(): boolean {
    return this.#isDisposed;
  }

  use<T extends Resource | null | undefined>(resource: T): T {
    if (resource !== null && resource !== undefined) this.defer(this.endOf(resource as NonNullable<T> & Resource));
    return resource;
  }

  adopt<T>(value: T, onDispose: (value: T) => unknown): T {
    this.defer(() => onDispose(value));
    return value;
  }

  defer(onDispose: () => unknown): void {
    if (this.#isDisposed) throw new ReferenceError("the stack has been disposed of already");
    this.#ends.push(onDispose);
  }

  /** How one of its resources is ended. @throws TypeError when it cannot be. */
  protected abstract endOf(resource: Resource): () => unknown;

  /** Gives away what is to be ended, the last first; empty from the second time on. */
  protected takeEnds(): (() => unknown)[] {
    const ends = this.#ends.filter((end) => end !== undefined).reverse();
    this.#ends = [];
    this.#isDisposed = true;
    return ends;
  }

  protected moveTo<T extends Stack<Resource>>(target: T): T {
    for (const end of this.takeEnds().reverse()) target.defer(end);
    return target;
  }
}

class SyncStack extends Stack<Disposable> {
  dispose(): void {
    const errors: unknown[] = [];
    for (const end of this.takeEnds()) {
      try {
        end();
      } catch (error) {
        errors.push(error);
      }
    }
    throwAll(errors);
  }

  move(): SyncStack {
    return this.moveTo(new SyncStack());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  protected override endOf(resource: Disposable): () => unknown {
    return methodOf(resource, resource[Symbol.dispose]);
  }
}

class AsyncStack extends Stack<AsyncDisposable | Disposable> {
  async disposeAsync(): Promise<void> {
    const errors: unknown[] = [];
    for (const end of this.takeEnds()) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    throwAll(errors);
  }

  move(): AsyncStack {
    return this.moveTo(new AsyncStack());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.disposeAsync();
  }

  protected override endOf(resource: AsyncDisposable | Disposable): () => unknown {
    const { [Symbol.asyncDispose]: end, [Symbol.dispose]: endNow } = resource as AsyncDisposable & Disposable;
    return methodOf(resource, end ?? endNow);
  }
}

function methodOf(resource: object, end: unknown): () => unknown {
  if (typeof end !== "function") throw new TypeError("this cannot be disposed of");
  return () => end.call(resource);
}

function throwAll(errors: readonly unknown[]): void {
  if (errors.length === 0) return;
  throw errors.reduce((suppressed, error) => {
    const both = new Error("an error was suppressed while what is left was disposed of");
    return Object.assign(both, { name: "SuppressedError", error, suppressed });
  });
}

/** A pattern that matches this text and nothing else, with the flag u too. */
function escapeText(text: string): string {
  const first = /^[0-9A-Za-z]/.test(text) ? `\\x${text.charCodeAt(0).toString(16).padStart(2, "0")}` : "";
  return first + text.slice(first === "" ? 0 : 1).replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function define(target: object, name: string, value: unknown): void {
  if (!(name in target)) Object.defineProperty(target, name, { value, writable: true, configurable: true });
}

define(globalThis, "DisposableStack", SyncStack);
define(globalThis, "AsyncDisposableStack", AsyncStack);
define(RegExp, "escape", escapeText);
