/** A package that a root file system holds, whichever program put it there. */
import { z } from "zod";

export const PACKAGE_MANAGERS = ["deb", "apk", "alpm", "ebuild", "rpm", "npm"] as const;

export const PackageSchema = z.object({
  manager: z.enum(PACKAGE_MANAGERS).describe("As package URLs name it."),
  name: z.string(),
  version: z.string(),
  architecture: z.string(),
  source: z.object({ name: z.string(), version: z.string() }).describe("What it was built from."),
  section: z.string().optional().describe("Where the distribution keeps it: non-free/… is told by it."),
  licences: z.array(z.string()).describe("Expressions of short names; each holds for a part of the package. Empty: none is known."),
});
export type InstalledPackage = Readonly<Omit<z.infer<typeof PackageSchema>, "licences">> & { readonly licences: readonly string[] };
