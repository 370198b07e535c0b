import { join } from "node:path";
import { run } from "./toolchain.ts";

/** Unpacks what the package ships into the folder, without building it. Returns where it is. */
export async function unpackPackage(folder: string): Promise<string> {
  // The name is npm's last line; `prepack`, which builds the rest of the package, is of no use
  // here.
  const packed = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder]);
  const name = packed.trim().split("\n").at(-1) ?? "";
  await run("tar", ["-xzf", join(folder, name), "-C", folder]);
  return join(folder, "package");
}
