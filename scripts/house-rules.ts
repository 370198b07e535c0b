// The rules of the house that no linter has: how wide a comment, how long a file, how full a folder
// may be.

/** Widest line of a comment, columns. */
export const MAX_COMMENT_COLUMNS = 100;
/** Longest file of `src`, lines; generated code and migrations, which are frozen, apart. */
export const MAX_FILE_LINES = 350;
/** Fullest folder of `src`, files of its own. */
export const MAX_FOLDER_FILES = 30;

/** A file that may be longer than MAX_FILE_LINES, up to a limit of its own, and why. */
export interface LongFile {
  readonly maxLines: number;
  readonly reason: string;
}

export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** Breaches of the rules, each as `path:line message`. */
export function findBreaches(files: readonly SourceFile[], longFiles: Readonly<Record<string, LongFile>>): string[] {
  return [
    ...files.flatMap(({ path, text }) => wideComments(path, text.split("\n"))),
    ...files.flatMap((file) => tooLong(file, longFiles[file.path])),
    ...fullFolders(files.map(({ path }) => path)),
  ];
}

// A line of its own that is a comment: `//`, a line of `/* */`, `--` of SQL or `#` of scripts and
// settings. Directives must stay on one line.
const COMMENT = /^\s*(\/\/|\/?\*|--\s)/;
const HASH_COMMENT = /^\s*#\s/;
/** Files that begin a comment with `#`. */
const HASHED = /(\.(sh|py|rb|ya?ml|toml|conf|cfg|ini|service|txt)|Dockerfile|\.ci\/run)$/;
/** Files that begin a comment as C does, or SQL. */
const COMMENTED = /\.(ts|mjs|cjs|proto|sql|grit|go|rs|java|cs|cc|cpp|php)$/;

/** Whether a file's comments are looked at. */
export function hasComments(path: string): boolean {
  return COMMENTED.test(path) || HASHED.test(path);
}
const DIRECTIVE = /biome-ignore|https?:\/\/\S{60}/;

function wideComments(path: string, lines: readonly string[]): string[] {
  const comment = HASHED.test(path) ? HASH_COMMENT : COMMENT;
  return lines.flatMap((line, index) => {
    if (line.length <= MAX_COMMENT_COLUMNS || !comment.test(line) || DIRECTIVE.test(line)) return [];
    return [`${path}:${index + 1} a comment of ${line.length} columns; at most ${MAX_COMMENT_COLUMNS}`];
  });
}

function tooLong({ path, text }: SourceFile, exception: LongFile | undefined): string[] {
  if (!path.startsWith("src/") || !path.endsWith(".ts") || /^src\/(gen|store\/migrations)\//.test(path)) return [];
  if (path.endsWith(".test.ts")) return [];
  const most = exception?.maxLines ?? MAX_FILE_LINES;
  const count = text.replace(/\n$/, "").split("\n").length;
  return count > most ? [`${path}:${most + 1} the file has ${count} lines; at most ${most}`] : [];
}

function fullFolders(paths: readonly string[]): string[] {
  const inSource = paths.filter((path) => path.startsWith("src/") && !path.startsWith("src/gen/"));
  const folders = Map.groupBy(inSource, (path) => path.slice(0, path.lastIndexOf("/")));
  return [...folders].flatMap(([folder, { length }]) =>
    length > MAX_FOLDER_FILES ? [`${folder}:1 the folder has ${length} files; at most ${MAX_FOLDER_FILES}`] : [],
  );
}
