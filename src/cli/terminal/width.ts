/** How many columns the terminal has; undefined where output goes to a file or a program. */
export function terminalWidth(): number | undefined {
  const { columns } = process.stdout;
  return columns && columns >= LEAST_WIDTH ? columns : undefined;
}

/** A narrower terminal is not fitted to. */
const LEAST_WIDTH = 20;

/**
 * Breaks a text into lines of at most `width`; a longer part has a line of its own.
 * @param partsOf says where it may break. Default: at spaces.
 */
export function wrapText(text: string, width: number, partsOf = partsAtSpaces): string[] {
  return text.split("\n").flatMap((paragraph) => {
    const lines = [""];
    for (const part of partsOf(paragraph)) {
      const line = lines.at(-1) ?? "";
      if (line === "" || (line + part).trimEnd().length <= width) lines[lines.length - 1] = line + part;
      else lines.push(part);
    }
    return lines.map((line) => line.trimEnd());
  });
}

/** What a text may be broken into: its words, each with the space behind it. */
export function partsAtSpaces(text: string): string[] {
  return text.split(/(?<= )/);
}

/** The same, and within words behind slashes, underscores and commas, and before a time's clock. */
export function partsOfWords(text: string): string[] {
  return text.split(/(?<=[ /_,])|(?<=\d{4}-\d\d-\d\dT)/);
}

/** A text whose first line has something before it: the lines after it are indented as far. */
export function hang(before: string, text: string): string {
  const width = terminalWidth();
  const lines = width === undefined ? text.split("\n") : wrapText(text, Math.max(LEAST_WIDTH, width - before.length));
  return before + lines.join(`\n${" ".repeat(before.length)}`);
}
