import { readdir } from "node:fs/promises";
import type { DescMethod, DescService } from "@bufbuild/protobuf";

/** A package that the contract has services in. */
export type ContractPackage = "carrier" | "platform";

/**
 * Every service of a package, found in the generated code, so that a new one cannot be forgotten.
 */
export async function listServices(contractPackage: ContractPackage): Promise<DescService[]> {
  const folder = new URL(`../../src/gen/tandem/${contractPackage}/v1/`, import.meta.url);
  const files = (await readdir(folder)).filter((file) => file.endsWith("_pb.js")).sort();
  const modules = await Promise.all(
    files.map((file) => import(new URL(file, folder).href) as Promise<Record<string, unknown>>),
  );
  return modules.flatMap((module) => Object.values(module)).filter(isService);
}

/** Every method of a package. */
export async function listMethods(contractPackage: ContractPackage): Promise<DescMethod[]> {
  return (await listServices(contractPackage)).flatMap((service) => service.methods);
}

/** A method's name without its package, such as `CdrService/GetCdr`. */
export function methodName(method: DescMethod): string {
  return `${method.parent.name}/${method.name}`;
}

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}
