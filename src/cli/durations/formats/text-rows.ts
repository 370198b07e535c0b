import type { Row } from "./format.ts";
import { linesOf } from "./lines.ts";

/** The lines of a file, each a row whose cell `line` is its text. */
export async function* lineRows(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Row> {
  for await (const { from, texts } of linesOf(bytes))
    for (const [index, text] of texts.entries())
      if (text.trim() !== "") yield { line: from + index, raw: `${text}\n`, cells: { line: text } };
}

/** A packet of more lines than this is none. */
const MAX_BLOCK_LINES = 1_000;

/**
 * Blocks of a head line and indented `name = value` lines, such as FreeRADIUS writes. The head is
 * the cell `received`; values lose their quotes; of a name that occurs twice the first counts.
 */
export async function* blockRows(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Row> {
  let block: Block | undefined;
  for await (const row of lineRows(bytes)) {
    if (block && /^\s/.test(row.raw)) addLine(block, row);
    else {
      if (block) yield rowOf(block);
      block = beginBlock(row);
    }
  }
  if (block) yield rowOf(block);
}

interface Block {
  readonly line: number;
  readonly texts: string[];
  readonly cells: Record<string, string>;
  broken?: string;
}

function beginBlock(row: Row): Block {
  const block: Block = { line: row.line, texts: [row.raw], cells: {} };
  if (/^\s/.test(row.raw)) block.broken = "an attribute without the line that says when its packet came";
  else block.cells["received"] = row.raw.trim();
  return block;
}

function addLine(block: Block, { line, raw }: Row): void {
  const [, name, value = ""] = /^\s+([\w.:-]+)\s*[:+]?=\s*(.*)$/.exec(raw.trimEnd()) ?? [];
  if (name === undefined) block.broken = `line ${line} is no attribute: expected Name = value`;
  else block.cells[name] ??= value.replace(/^"(.*)"$/, "$1");
  if (block.texts.length < MAX_BLOCK_LINES) block.texts.push(raw);
  else block.broken = `over ${MAX_BLOCK_LINES} lines in one packet`;
}

function rowOf({ line, texts, cells, broken }: Block): Row {
  const row = { line, raw: `${texts.join("")}\n`, cells };
  return broken === undefined ? row : { ...row, broken };
}
