import { MultiBar, Presets } from "cli-progress";
import { visibleLines } from "../../domain/privacy/visible-text.ts";

const BAR_WIDTH = 24;

export interface ProgressLine {
  set(value: number): void;
}

/** Progress on standard error, in bars or lines. Dispose it before printing a result. */
export interface Progress extends Disposable {
  add(label: string, total: number): ProgressLine;
  /** Tells of something that happened. */
  say(text: string): void;
}

/** Opens the display that suits standard error. */
export function openProgress(isTerminal = process.stderr.isTTY === true): Progress {
  return isTerminal ? openBars() : openLines();
}

function openBars(): Progress {
  const bars = new MultiBar(
    {
      stream: process.stderr,
      clearOnComplete: false,
      hideCursor: true,
      fps: 20,
      barsize: BAR_WIDTH,
      format: "  {label} {bar} {value} of {total}",
      barCompleteChar: Presets.shades_classic.barCompleteChar,
      barIncompleteChar: Presets.shades_classic.barIncompleteChar,
    },
    Presets.shades_classic,
  );
  let isStopped = false;
  return {
    add: (label, total) => {
      const bar = bars.create(total, 0, { label: label.padEnd(24) });
      return { set: (value) => bar.update(value) };
    },
    say: (text) => bars.log(`  ${visibleLines(text)}\n`),
    [Symbol.dispose]: () => {
      if (isStopped) return;
      isStopped = true;
      bars.stop();
    },
  };
}

/** A line at the start of each quarter. */
function openLines(): Progress {
  return {
    add: (label, total) => {
      let told = 0;
      return {
        set: (value) => {
          const quarters = total === 0 ? 4 : Math.floor((4 * value) / total);
          if (quarters <= told) return;
          told = quarters;
          console.error(`${label}: ${value} of ${total}`);
        },
      };
    },
    say: (text) => console.error(visibleLines(text)),
    [Symbol.dispose]: () => {},
  };
}

/** Between two lines about how far something is, milliseconds. */
const TELL_MS = 2_000;

/** Says how far something is, on standard error. What is quickly done says nothing. */
export function tellNowAndThen<State>(describe: (state: State) => string): (state: State) => void {
  let toldAt = performance.now();
  return (state) => {
    if (performance.now() - toldAt < TELL_MS) return;
    toldAt = performance.now();
    console.error(describe(state));
  };
}

/** Says on standard error what is being done, if it is still being done after two seconds. */
export interface SlowTeller extends Disposable {
  /** What is done from now on. */
  tell(what: string): void;
}

/** Says nothing of what is quickly done. Dispose it when everything is. */
export function tellSlowly(): SlowTeller {
  let timer: NodeJS.Timeout | undefined;
  return {
    tell: (what) => {
      clearTimeout(timer);
      timer = setTimeout(() => console.error(`${what} …`), TELL_MS).unref();
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
