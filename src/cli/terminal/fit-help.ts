import { wrapText } from "./width.ts";

/**
 * Fits a command's help into so many columns. Paragraphs are filled anew; a line that begins with
 * spaces keeps its indent, and what follows a name in a column stays in its column. An example that
 * is too long goes on in the next line, behind a backslash, so that a shell takes it as it stands.
 */
export function fitHelp(text: string, width: number): string {
  const fitted: string[] = [];
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length > 0) fitted.push(...fill(paragraph, width));
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith(" ")) {
      flush();
      fitted.push(...(line.length <= width ? [line] : fitIndented(line, width)));
    } else paragraph.push(line);
  }
  flush();
  return fitted.join("\n");
}

// What fits stays as it was written, such as a list with a line for each item.
function fill(paragraph: readonly string[], width: number): readonly string[] {
  return paragraph.some((line) => line.length > width) ? wrapText(paragraph.join(" "), width) : paragraph;
}

function fitIndented(line: string, width: number): string[] {
  const [, indent = "", rest = ""] = /^( +)(.*)$/.exec(line) ?? [];
  if (rest.startsWith("tandem ")) {
    const lines = wrapCommand(rest, width - indent.length - 4);
    return lines.map((part, at) => `${indent}${at > 0 ? "  " : ""}${part}${at < lines.length - 1 ? " \\" : ""}`);
  }
  const [name = ""] = /^\S+ {2,}/.exec(rest) ?? [];
  const column = indent.length + name.length <= width / 2 ? indent.length + name.length : indent.length + 4;
  const lines = wrapText(rest.slice(name.length), width - column);
  const first =
    column === indent.length + name.length ? indent + name + (lines.shift() ?? "") : indent + name.trimEnd();
  return [first, ...lines.map((part) => " ".repeat(column) + part)];
}

/** Breaks a command before its options, where that is enough: each stays beside its value. */
function wrapCommand(text: string, width: number): string[] {
  const parts = text.split(/ (?=--)/);
  if (parts.some((part) => part.length > width)) return wrapText(text, width);
  const joined = parts.map((part) => part.replaceAll(" ", KEPT)).join(" ");
  return wrapText(joined, width).map((line) => line.replaceAll(KEPT, " "));
}

/** A space that no line breaks at. */
const KEPT = "\u00a0";
