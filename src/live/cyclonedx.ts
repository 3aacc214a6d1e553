/** A manifest as a bill of materials for other programs: CycloneDX 1.5, JSON (ECMA-424). */
import type { Manifest } from "./manifest.ts";
import type { InstalledPackage } from "./packages/installed-package.ts";

/** The same manifest gives the same bytes. */
export function encodeCycloneDx(manifest: Manifest): string {
  const bill = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: new Date(manifest.epoch * 1000).toISOString().replace(".000", ""),
      tools: { components: [{ type: "application", name: manifest.made_by }] },
      component: {
        type: "operating-system",
        "bom-ref": "image",
        name: manifest.name,
        hashes: [{ alg: "SHA-256", content: manifest.image.sha256 }],
      },
    },
    components: (manifest.packages ?? []).map(component),
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}

function component(one: InstalledPackage): object {
  const url = packageUrl(one);
  return {
    type: "library",
    "bom-ref": url,
    name: one.name,
    version: one.version,
    // Names that are not SPDX's are allowed here as names, and only as such.
    ...(one.licences.length === 0 ? {} : { licenses: one.licences.map((name) => ({ license: { name } })) }),
    purl: url,
    properties: [{ name: "source", value: `${one.source.name} ${one.source.version}` }],
  };
}

/** Whose packages these are, where the manager alone does not say it: the distribution that it comes from. */
const NAMESPACES = { deb: "debian", apk: "alpine", alpm: "arch", rpm: "fedora" } as const;

/** purl-spec: pkg:TYPE/NAMESPACE/NAME@VERSION?arch=… */
export function packageUrl({ manager, name, version, architecture }: InstalledPackage): string {
  const encoded = (text: string): string => encodeURIComponent(text).replaceAll("%3A", ":");
  // Gentoo's names carry their category, and npm's their scope, which is the namespace there.
  const path = manager === "ebuild" || manager === "npm" ? name.split("/") : [NAMESPACES[manager], name];
  const architectures = architecture === "" ? "" : `?arch=${encoded(architecture)}`;
  return `pkg:${manager}/${path.map(encoded).join("/")}@${encoded(version)}${architectures}`;
}
