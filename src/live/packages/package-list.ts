/** `packages.json`: the packages of a root file system, beside it in the output of the stage that made it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { openTarTree, type TarTree } from "../tar-tree.ts";
import { type InstalledPackage, PACKAGE_MANAGERS, PackageSchema } from "./installed-package.ts";
import { DATABASE_READERS, type FileSource } from "./package-databases.ts";

const PackageListSchema = z.object({
  packages: z.array(PackageSchema),
  unread: z.array(z.enum(PACKAGE_MANAGERS)).describe("Package managers whose database is there and was not read."),
});
export interface PackageList {
  readonly packages: readonly InstalledPackage[];
  readonly unread: readonly InstalledPackage["manager"][];
}

const NAME = "packages.json";
/** Of one database or copyright file. */
const TEXT_BYTES_MAX = 64 * 1024 * 1024;

/** What the databases in the tree say, sorted by name. Undefined where there is none. */
export async function packagesInTree(tree: TarTree): Promise<PackageList | undefined> {
  const source: FileSource = {
    paths: tree.entries.keys(),
    async text(path) {
      const bytes = await tree.read(path, TEXT_BYTES_MAX);
      return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
    },
  };
  const packages: InstalledPackage[] = [];
  const unread: InstalledPackage["manager"][] = [];
  let isAny = false;
  for (const { manager, read } of DATABASE_READERS) {
    const found = await read({ ...source, paths: [...tree.entries.keys()] });
    isAny ||= found !== undefined;
    if (found === "unreadable") unread.push(manager);
    else packages.push(...(found ?? []));
  }
  if (!isAny) return undefined;
  const key = ({ manager, name, version, architecture }: InstalledPackage): string => [name, architecture, version, manager].join(" ");
  return { packages: packages.sort((one, other) => (key(one) < key(other) ? -1 : 1)), unread };
}

/** Reads `root.tar` in a stage's output and writes `packages.json` beside it, where the tree has a database of packages. */
export async function writePackages(output: string): Promise<PackageList | undefined> {
  await using tree = await openTarTree(join(output, "root.tar"));
  const list = await packagesInTree(tree);
  if (list !== undefined) await writeFile(join(output, NAME), `${JSON.stringify(list, null, 1)}\n`);
  return list;
}

/** Of a stage's output; undefined where it holds none. */
export async function readPackages(output: string): Promise<PackageList | undefined> {
  const path = join(output, NAME);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new HiperisoError({ what: "read the list of packages", where: path, found: reasonOf(error), cause: error });
  }
  try {
    return PackageListSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new HiperisoError({ what: "read the list of packages", where: path, found: reasonOf(error), cause: error });
  }
}
