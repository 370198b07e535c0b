/** How many columns the terminal has; undefined where output goes to a file or a program. */
export function terminalWidth(): number | undefined {
  const { columns } = process.stdout;
  return columns && columns >= LEAST_WIDTH ? columns : undefined;
}

/** A narrower terminal is not fitted to. */
const LEAST_WIDTH = 20;

/** Breaks a text at spaces into lines of at most `width`; a longer word has a line of its own. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line === "") line = word;
      else if (line.length + 1 + word.length <= width) line += ` ${word}`;
      else {
        lines.push(line);
        line = word;
      }
    }
    lines.push(line);
  }
  return lines;
}

/** A text whose first line has something before it: the lines after it are indented as far. */
export function hang(before: string, text: string): string {
  const width = terminalWidth();
  const lines = width === undefined ? text.split("\n") : wrapText(text, Math.max(LEAST_WIDTH, width - before.length));
  return before + lines.join(`\n${" ".repeat(before.length)}`);
}
