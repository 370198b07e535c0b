import { readdirSync, readFileSync } from "node:fs";

/** The CPU time that this process has taken so far, microseconds. */
export function ownCpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * The CPU time that a process and those below it have taken so far, microseconds; 0 where there is
 * no /proc. It tells what work costs also while others use the machine, which a clock cannot.
 */
export function treeCpuMicros(pid: number): number {
  try {
    return childrenFirst(pid, readParents()).reduce((sum, each) => sum + cpuMicros(each), 0);
  } catch {
    return 0;
  }
}

function readParents(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(/\) \S (\d+)/.exec(readOrNothing(`/proc/${pid}/stat`))?.[1]);
    if (Number.isInteger(parent)) parents.set(pid, parent);
  }
  return parents;
}

function childrenFirst(pid: number, parents: ReadonlyMap<number, number>): number[] {
  const children = [...parents].filter(([, parent]) => parent === pid).map(([child]) => child);
  return [...children.flatMap((child) => childrenFirst(child, parents)), pid];
}

/** Linux counts the CPU time of processes in hundredths of a second. */
const TICK_MICROS = 10_000;

// schedstat of each thread: nanoseconds on a CPU first, without threads that have ended. utime and
// stime of /proc/[pid]/stat have those too, in ticks. What children took that have ended is in
// cutime and cstime.
function cpuMicros(pid: number): number {
  const nanos = threadsOf(pid).reduce((sum, path) => sum + Number(readOrNothing(`${path}/schedstat`).split(" ")[0]), 0);
  const [, fields = ""] = /\) (.*)/.exec(readOrNothing(`/proc/${pid}/stat`)) ?? [];
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.split(" ").slice(11, 15).map(Number);
  return Math.max(nanos / 1_000, (utime + stime) * TICK_MICROS) + (cutime + cstime) * TICK_MICROS;
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`);
  } catch {
    return [];
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
