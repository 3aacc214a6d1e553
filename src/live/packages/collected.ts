/** The packages of several root file systems and of `.deb` files, with the texts of their licences: what is handed on with something made of them. */
import { join } from "node:path";
import type { StageRun } from "../stage.ts";
import { openTarTree } from "../tar-tree.ts";
import { type DebFile, readDebFiles } from "./deb-files.ts";
import type { InstalledPackage } from "./installed-package.ts";
import { DATABASE_READERS } from "./package-databases.ts";
import { packagesInTree } from "./package-list.ts";

export interface CollectedPackage extends InstalledPackage {
  /** As its authors or its distribution give it; undefined where it brings none. */
  readonly terms: Uint8Array | undefined;
}

export interface PackageSources {
  /** Outputs with a `root.tar`. */
  readonly trees: readonly string[];
  /** Outputs of stages of kind package. */
  readonly packages: readonly string[];
}

/** Sorted by name, each once. */
export async function collectPackages({ trees, packages }: PackageSources, run: StageRun): Promise<readonly CollectedPackage[]> {
  const found = new Map<string, CollectedPackage>();
  const know = (one: CollectedPackage) => {
    const key = [one.name, one.manager, one.version, one.architecture].join(" ");
    if (found.get(key)?.terms === undefined) found.set(key, one);
  };
  for (const folder of trees) {
    await using tree = await openTarTree(join(folder, "root.tar"));
    const termsOf = async (one: InstalledPackage) => {
      for (const path of termsPlaces(one, [...tree.entries.keys()])) {
        const text = await tree.read(path);
        if (text !== undefined) return text;
      }
      return undefined;
    };
    for (const one of (await packagesInTree(tree))?.packages ?? []) know({ ...one, terms: await termsOf(one) });
  }
  for (const folder of packages) {
    for (const deb of await readDebFiles(folder, run)) for (const one of await packagesOfDeb(deb)) know({ ...one, terms: deb.copyright });
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, one]) => one);
}

function termsPlaces({ manager, name }: InstalledPackage, paths: readonly string[]): readonly string[] {
  if (manager === "deb") return [`usr/share/doc/${name}/copyright`];
  if (manager !== "npm") return [];
  const ending = `node_modules/${name}/package.json`;
  const folders = paths
    .filter((path) => path === ending || path.endsWith(`/${ending}`))
    .map((path) => path.slice(0, -"package.json".length));
  return paths.filter((path) => folders.some((folder) => path.startsWith(folder) && /^LICEN[CS]E[^/]*$/i.test(path.slice(folder.length))));
}

/** As if it were the only one of a system. */
async function packagesOfDeb({ name, record, copyright }: DebFile): Promise<readonly InstalledPackage[]> {
  const texts = new Map([[`var/lib/dpkg/status.d/${name}`, record]]);
  if (copyright !== undefined) texts.set(`usr/share/doc/${name}/copyright`, new TextDecoder().decode(copyright));
  const dpkg = DATABASE_READERS.find(({ manager }) => manager === "deb")!;
  const packages = await dpkg.read({ paths: texts.keys(), text: async (path) => texts.get(path) });
  return packages === undefined || packages === "unreadable" ? [] : packages;
}
