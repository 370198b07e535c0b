import { expect, test } from "vitest";

// The stand-ins are used where Node lacks the real ones: here those are taken away first.
const names = ["DisposableStack", "AsyncDisposableStack"] as const;
const real = Object.fromEntries(names.map((name) => [name, globalThis[name]]));
const realEscape = RegExp.escape;
for (const name of names) Reflect.deleteProperty(globalThis, name);
Reflect.deleteProperty(RegExp, "escape");
await import("./node-22.ts");
const standIns = { DisposableStack, AsyncDisposableStack, escape: RegExp.escape };
Object.assign(globalThis, real);
RegExp.escape = realEscape;

test("a stack of resources ends them as Node's own does: the last first, once, each also after a failure", async () => {
  for (const Stack of [AsyncDisposableStack, standIns.AsyncDisposableStack]) {
    const ended: string[] = [];
    const stack = new Stack();
    stack.use({ [Symbol.dispose]: () => void ended.push("used") });
    stack.use(undefined);
    stack.adopt("adopted", async (text) => void ended.push(text));
    stack.defer(() => {
      throw new Error("first");
    });
    stack.defer(async () => {
      throw new Error("second");
    });
    const moved = stack.move();
    expect([stack.disposed, moved.disposed]).toEqual([true, false]);
    await stack.disposeAsync();
    expect(ended).toEqual([]);
    await expect(moved[Symbol.asyncDispose]()).rejects.toMatchObject({
      error: { message: "first" },
      suppressed: { message: "second" },
    });
    expect(ended).toEqual(["adopted", "used"]);
    await moved.disposeAsync();
    expect(ended).toHaveLength(2);
    expect(() => moved.defer(() => {})).toThrow(ReferenceError);
    expect(() => new Stack().use({} as AsyncDisposable)).toThrow(TypeError);
  }
  for (const Stack of [DisposableStack, standIns.DisposableStack]) {
    const ended: number[] = [];
    const stack = new Stack();
    for (const number of [1, 2, 3]) stack.defer(() => ended.push(number));
    stack.dispose();
    stack[Symbol.dispose]();
    expect(ended).toEqual([3, 2, 1]);
  }
});

test("an escaped text matches itself and nothing else, as Node's own does", () => {
  for (const escaped of [RegExp.escape, standIns.escape]) {
    for (const text of ["a.b*c", "[x](y)|z{2}", "1^$\\/?+", "Ørsted GmbH & Co.", ""]) {
      expect(new RegExp(`^${escaped(text)}$`, "u").test(text)).toBe(true);
      expect(new RegExp(`^${escaped(text)}$`, "u").test(`${text}x`)).toBe(false);
    }
    expect(new RegExp(escaped("a.b"), "u").test("axb")).toBe(false);
  }
});
