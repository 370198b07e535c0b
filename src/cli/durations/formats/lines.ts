/** A line of more characters than this is no line of call records. */
const MAX_LINE_CHARS = 1_048_576;

/** Lines that follow each other, without their ends. */
export interface Lines {
  /** The number of the first one, from 1. */
  readonly from: number;
  readonly texts: readonly string[];
}

/**
 * The lines of a file of UTF-8, as they come, many at once. They end with LF or CRLF; the mark of
 * the byte order is no part of the first.
 */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Lines> {
  let from = 1;
  let rest = "";
  for await (const text of textsOf(bytes)) {
    const texts = `${rest}${text}`.split("\n");
    rest = texts.pop() ?? "";
    if (rest.length > MAX_LINE_CHARS) throw new Error(`line ${from + texts.length}: over ${MAX_LINE_CHARS} characters`);
    if (texts.length > 0) yield { from, texts: texts.map(withoutReturn) };
    from += texts.length;
  }
  if (rest !== "") yield { from, texts: [withoutReturn(rest)] };
}

/** The text of a file of UTF-8, in pieces. What is not valid is the replacement character. */
export async function* textsOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
