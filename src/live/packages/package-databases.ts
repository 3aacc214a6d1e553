/** What package managers have written down in a root file system: which packages are installed, and under which licences. */
import { decodeDeb822, type Paragraph } from "../../formats/deb822.ts";
import { decodeGentooLicences, decodeLicences, type LicenceExpression, licencesText } from "../../formats/licence-expression.ts";
import { licencesOfCopyrightFile } from "./copyright-file.ts";
import type { InstalledPackage } from "./installed-package.ts";

/** A tree that can be asked for single files; paths without a leading slash. */
export interface FileSource {
  /** Paths of all entries. */
  readonly paths: Iterable<string>;
  /** Through links; undefined where there is no file. */
  text(path: string): Promise<string | undefined>;
}

export interface DatabaseReader {
  /** As package URLs name it (purl-spec). */
  readonly manager: InstalledPackage["manager"];
  /** Undefined where the tree has no such database; "unreadable" where it has one of a form that we do not read. */
  read(source: FileSource): Promise<readonly InstalledPackage[] | "unreadable" | undefined>;
}

const dpkg: DatabaseReader = {
  manager: "deb",
  async read(source) {
    // Images without a package manager keep one file a package (status.d).
    const paths = [...source.paths].filter(
      (path) => /^var\/lib\/dpkg\/(?:status|status\.d\/[^/]+)$/.test(path) && !path.endsWith(".md5sums"),
    );
    if (paths.length === 0) return undefined;
    const texts = await Promise.all(paths.map((path) => source.text(path)));
    const installed = texts.flatMap((text) => [...decodeDeb822(text ?? "")]).filter(isInstalled);
    const packages: InstalledPackage[] = [];
    for (const fields of installed) {
      const name = fields.get("package")!;
      const [, sourceName = name, sourceVersion] = /^(\S+)(?:\s+\((\S+)\))?$/.exec(fields.get("source") ?? "") ?? [];
      const version = fields.get("version") ?? "";
      const copyright = await source.text(`usr/share/doc/${name}/copyright`);
      packages.push({
        manager: "deb",
        name,
        version,
        architecture: fields.get("architecture") ?? "",
        source: { name: sourceName, version: sourceVersion ?? version },
        ...optional("section", fields.get("section")),
        licences: copyright === undefined ? [] : licencesOfCopyrightFile(copyright),
      });
    }
    return packages;
  },
};

/** "want flag status"; a package of which only configuration files are left is none. */
function isInstalled(fields: Paragraph): boolean {
  const status = fields.get("status")?.split(/\s+/).at(-1);
  const isThere = status === undefined || !["not-installed", "config-files"].includes(status);
  return isThere && /^[a-z0-9][a-z0-9+.-]*$/.test(fields.get("package") ?? "");
}

const apk: DatabaseReader = {
  manager: "apk",
  async read(source) {
    const text = (await source.text("lib/apk/db/installed")) ?? (await source.text("usr/lib/apk/db/installed"));
    if (text === undefined) return undefined;
    return text.split(/\n\n+/).flatMap((paragraph) => {
      const fields = new Map(paragraph.split("\n").map((line): [string, string] => [line.slice(0, 1), line.slice(2)]));
      const [name, version = ""] = [fields.get("P"), fields.get("V")];
      if (name === undefined) return [];
      return [
        {
          manager: "apk" as const,
          ...{ name, version, architecture: fields.get("A") ?? "" },
          source: { name: fields.get("o") || name, version },
          licences: expressions(decodeLicences(fields.get("L") ?? "")),
        },
      ];
    });
  },
};

const pacman: DatabaseReader = {
  manager: "alpm",
  async read(source) {
    const paths = [...source.paths].filter((path) => /^var\/lib\/pacman\/local\/[^/]+\/desc$/.test(path));
    if (paths.length === 0) return undefined;
    const texts = await Promise.all(paths.sort().map((path) => source.text(path)));
    return texts.flatMap((text) => {
      const values = new Map(
        (text ?? "").split(/\n\n+/).map((part): [string, readonly string[]] => {
          const [key = "", ...lines] = part.split("\n");
          return [key, lines.filter((line) => line !== "")];
        }),
      );
      const one = (key: string): string | undefined => values.get(`%${key}%`)?.[0];
      const [name, version = ""] = [one("NAME"), one("VERSION")];
      if (name === undefined) return [];
      const licences = (values.get("%LICENSE%") ?? []).flatMap((line) => expressions(decodeLicences(line)));
      return [
        {
          manager: "alpm" as const,
          name,
          version,
          architecture: one("ARCH") ?? "",
          source: { name: one("BASE") ?? name, version },
          licences,
        },
      ];
    });
  },
};

const portage: DatabaseReader = {
  manager: "ebuild",
  async read(source) {
    const folders = [...source.paths].flatMap((path) => /^var\/db\/pkg\/([^/]+)\/([^/]+)\/PF$/.exec(path)?.slice(1, 3).join("/") ?? []);
    if (folders.length === 0) return undefined;
    const packages: InstalledPackage[] = [];
    for (const folder of folders.sort()) {
      const field = async (name: string): Promise<string> => ((await source.text(`var/db/pkg/${folder}/${name}`)) ?? "").trim();
      // PF is NAME-VERSION[-rREVISION] (PMS, 11.1): a version begins with a digit behind the last dash that one follows.
      const [, name = folder, version = ""] = /^(.+?)-(\d[^-]*(?:-r\d+)?)$/.exec(folder) ?? [];
      packages.push({
        manager: "ebuild",
        name,
        version,
        architecture: (await field("CHOST")).split("-")[0] ?? "",
        source: { name, version },
        ...optional("section", folder.split("/")[0]),
        licences: expressions(decodeGentooLicences(await field("LICENSE"))),
      });
    }
    return packages;
  },
};

/** Its database is SQLite or Berkeley DB, and not read: that it is there must not be hidden from who asks for licences. */
const rpm: DatabaseReader = {
  manager: "rpm",
  async read(source) {
    const database = /^(?:var\/lib\/rpm|usr\/lib\/sysimage\/rpm)\/(?:rpmdb\.sqlite|Packages(?:\.db)?)$/;
    return [...source.paths].some((path) => database.test(path)) ? "unreadable" : undefined;
  },
};

/** It keeps no database of a whole system: a package is a folder in a `node_modules` whose package.json has a name and a version. */
const npm: DatabaseReader = {
  manager: "npm",
  async read(source) {
    const paths = [...source.paths].filter((path) => /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/@][^/]*\/package\.json$/.test(path));
    if (paths.length === 0) return undefined;
    const packages: InstalledPackage[] = [];
    for (const path of paths.sort()) {
      const fields = jsonObject(await source.text(path));
      const { name, version, license } = fields;
      if (typeof name !== "string" || typeof version !== "string") continue;
      const licences = typeof license === "string" ? expressions(decodeLicences(license)) : [];
      packages.push({ manager: "npm", name, version, architecture: "", source: { name, version }, licences });
    }
    return packages;
  },
};

function jsonObject(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export const DATABASE_READERS: readonly DatabaseReader[] = [dpkg, apk, pacman, portage, rpm, npm];

const optional = <Key extends string>(key: Key, value: string | undefined): Partial<Record<Key, string>> =>
  value === undefined || value === "" ? {} : ({ [key]: value } as Partial<Record<Key, string>>);

const expressions = (expression: LicenceExpression | undefined): readonly string[] =>
  expression === undefined ? [] : [licencesText(expression)];
