import { access, constants, cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { unpackPackage } from "./shipped-protos.ts";
import { findToolchain, pathWith, prepareGoPlugins, preparePython, ROOT, run } from "./toolchain.ts";

const folder = await mkdtemp(join(tmpdir(), "tandem-languages-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const shipped = await unpackPackage(folder);
const tools = await findToolchain("protoc", async () => {
  const path = pathWith(await preparePython(), join(ROOT, "node_modules/.bin"));
  const go = await findToolchain("Go", prepareGoPlugins);
  return { path: "tools" in go ? [go.tools, path].join(delimiter) : path };
});
const why = "missing" in tools ? ` (skipped: ${tools.missing})` : "";

/** A row of the table in docs/languages.md. */
interface Row {
  readonly language: string;
  readonly command: string;
  /** A file that the command makes. */
  readonly file: string;
}

/**
 * Debian's protoc makes code for Debian's runtimes of these; what is newer would ask for newer
 * ones.
 */
const WITH_DEBIANS_PROTOC = new Set(["C++", "Ruby"]);
const GOOGLE_RPC = "-I third_party/proto $(find third_party/proto/google -name '*.proto')";

describe.skipIf("missing" in tools)(`generated code${why}`, async () => {
  const rows = await readRows();
  for (const { language, command, file } of rows) {
    const missing = await findMissing(command);
    const reason = missing ? ` (skipped: there is no ${missing} on this machine)` : "";
    if (missing) console.log(`interop: ${language} is skipped: there is no ${missing} on this machine`);

    test.skipIf(missing)(
      `${language}: the command in the docs makes every file once, and it compiles${reason}`,
      async () => {
        const made = await generate(language, command, WITH_DEBIANS_PROTOC.has(language));
        expect(await listFiles(made)).toContain(file);
        await checks[language]?.(made);
      },
    );

    test.skipIf(missing)(`${language}: google.rpc is made beside it from what the package ships${reason}`, async () => {
      const made = await generate(`${language} with google.rpc`, `${command} ${GOOGLE_RPC}`);
      const files = await listFiles(made);
      expect(files.some((path) => /error_?details/i.test(path))).toBe(true);
    });
  }
});

/**
 * What is tried beyond that files are there. Where a compiler is missing, the check says nothing
 * more.
 */
const checks: Record<string, (made: string) => Promise<void>> = {
  "C++": async (made) => {
    // All in one: a name that is there twice, or that a macro of another header changes, shows
    // here.
    const headers = await list(join(made, "gen"), "**/*.h");
    await writeFile(join(made, "all.cc"), headers.map((header) => `#include "${header}"\n`).join(""));
    await compile("g++ -std=c++17 -I gen -fsyntax-only all.cc", made);
  },
  "Objective-C": async (made) => {
    const texts = await Promise.all((await list(made, "gen/**/*.h")).map((path) => readFile(join(made, path), "utf8")));
    const classes = texts.flatMap((text) =>
      [...text.matchAll(/^(?:GPB_FINAL )?@interface (\w+) :/gm)].map((found) => found[1]),
    );
    expect(classes).toContain("TCXStreamCdrsRequest");
    expect(new Set(classes).size).toBe(classes.length);
  },
  PHP: (made) => compile("find gen -name '*.php' -print0 | xargs -0 -n 1 -P 2 php -l", made),
  Python: async (made) => {
    const modules = await list(join(made, "gen"), "tandem/**/*.py");
    const code = modules.map((path) => `import ${path.replace(/\.py$/, "").replaceAll("/", ".")}`).join("\n");
    await writeFile(join(made, "all.py"), code);
    await compile("PYTHONPATH=gen python3 all.py", made);
  },
  Ruby: async (made) => {
    await compile(`ruby -Igen -e 'Dir.glob("**/*.rb", base: "gen").sort.each { |file| require file }'`, made);
  },
  "TypeScript, JavaScript": async (made) => {
    await writeFile(join(made, "package.json"), '{ "type": "module" }');
    // Where it finds the runtime that a user would have installed beside it.
    await mkdir(join(made, "node_modules/@bufbuild"), { recursive: true });
    await cp(join(ROOT, "node_modules/@bufbuild/protobuf"), join(made, "node_modules/@bufbuild/protobuf"), {
      recursive: true,
    });
    const modules = await list(made, "gen/**/*.js");
    await writeFile(join(made, "all.js"), modules.map((path) => `import "./${path}";\n`).join(""));
    await compile("node all.js", made);
  },
};

async function readRows(): Promise<Row[]> {
  const text = await readFile(join(ROOT, "docs/languages.md"), "utf8");
  const rows = [...text.matchAll(/^\| ([^|`]+) \| `([^|]+)` \| `([^|`]+)` \|/gm)];
  return rows.map(([, language = "", command = "", file = ""]) => ({ language, command, file }));
}

/**
 * Runs a command of the docs where the package's `proto` is and an empty `gen`. protoc itself
 * refuses to write a file twice.
 */
async function generate(name: string, command: string, withDebians = false): Promise<string> {
  const made = join(folder, name.replaceAll(/\W/g, "-"));
  await mkdir(join(made, "gen"), { recursive: true });
  for (const protos of ["proto", "third_party"])
    await cp(join(shipped, protos), join(made, protos), { recursive: true });
  await compile(command, made, withDebians);
  const files = await listFiles(made);
  // Not on a disk that takes no notice of case either.
  expect(new Set(files.map((file) => file.toLowerCase())).size).toBe(files.length);
  return made;
}

async function compile(command: string, cwd: string, withDebians = false): Promise<void> {
  const PATH = withDebians || "missing" in tools ? (process.env["PATH"] ?? "") : tools.tools.path;
  await run("bash", ["-euo", "pipefail", "-c", command], { cwd, env: { PATH } });
}

async function listFiles(made: string): Promise<string[]> {
  const files = await Array.fromAsync(glob("gen/**/*.*", { cwd: made, withFileTypes: true }));
  return files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name).slice(made.length + 1));
}

async function list(cwd: string, pattern: string): Promise<string[]> {
  return (await Array.fromAsync(glob(pattern, { cwd }))).sort();
}

/** What an output is checked with. */
const NEEDED = { "--go_out": "protoc-gen-go", "--cpp_out": "g++", "--php_out": "php", "--ruby_out": "ruby" };

/** The first program that a row wants and this machine does not have. */
async function findMissing(command: string): Promise<string | undefined> {
  const named = [...command.matchAll(/command -v (\w+)/g)].map((found) => found[1] ?? "");
  const needed = Object.entries(NEEDED).filter(([option]) => command.includes(option));
  for (const program of [...named, ...needed.map(([, program]) => program)]) {
    if (!(await isThere(program))) return program;
  }
  return undefined;
}

async function isThere(program: string): Promise<boolean> {
  const path = "missing" in tools ? "" : tools.tools.path;
  for (const place of path.split(delimiter)) {
    const found = await access(join(place, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
