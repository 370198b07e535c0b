/** Groups of the members 0 to count - 1. */
export class UnionFind {
  readonly #parent: Int32Array;

  constructor(count: number) {
    this.#parent = new Int32Array(count);
    for (let member = 1; member < count; member++) this.#parent[member] = member;
  }

  /** The lowest member of the group. */
  find(member: number): number {
    const parent = this.#parent;
    let root = member;
    for (let next = parent[root] ?? root; next !== root; next = parent[root] ?? root) root = next;
    for (let at = member; at !== root; ) {
      const next = parent[at] ?? root;
      parent[at] = root;
      at = next;
    }
    return root;
  }

  /** Merges the groups of two members. */
  join(a: number, b: number): void {
    const rootA = this.find(a);
    const rootB = this.find(b);
    if (rootA < rootB) this.#parent[rootB] = rootA;
    else this.#parent[rootA] = rootB;
  }
}
