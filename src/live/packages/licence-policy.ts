/** Which licences a stage takes: the option `licences`, and the packages that it refuses. */
import { z } from "zod";
import { compileGlob } from "../../config/glob.ts";
import { HiperisoError } from "../../contract/error.ts";
import { decodeLicences, isSatisfied } from "../../formats/licence-expression.ts";
import type { InstalledPackage } from "./installed-package.ts";
import type { PackageList } from "./package-list.ts";

const LIST = z.array(z.string().min(1));

/** `licences` in a stage's options. */
export const LicencesSchema = z
  .union([
    z.literal("free"),
    z.strictObject({
      free: z.boolean().default(false).describe("All that is free software."),
      allow: LIST.default([]).describe("Names of licences, * standing for anything: GPL-*."),
      deny: LIST.default([]).describe("The same, never taken, whatever else allows them."),
      packages: LIST.default([]).describe("Names of packages that are taken under any licence, * standing for anything."),
    }),
  ])
  .describe("Packages under other licences end the build. `free`: free software only.");
export type Licences = z.infer<typeof LicencesSchema>;

/** What a licence is by its name alone. Rows are tried in turn; names are compared without regard to case. */
interface LicenceRow {
  readonly pattern: string;
  readonly is: "free" | "nonfree";
}

const rows = (is: LicenceRow["is"], patterns: string): readonly LicenceRow[] => patterns.split(/\s+/).map((pattern) => ({ pattern, is }));

/**
 * Names as SPDX, Debian, Alpine, Arch and Gentoo write them. Free: the FSF's or the OSI's list, or Debian's main archive, takes it.
 * A name that no row fits is unknown, and then not free.
 */
export const LICENCE_ROWS: readonly LicenceRow[] = [
  ...rows("nonfree", "*-NC-* *-NC *-ND-* *-ND *proprietary* *non-free* *nonfree* *EULA* all-rights-reserved no-source-code"),
  ...rows("nonfree", "*redistributable* unlicensed custom:none SSPL* BUSL* Elastic-*"),
  ...rows("free", "GPL GPL-* GPLv* GPL1* GPL2* GPL3* LGPL LGPL-* LGPLv* LGPL2* LGPL3* AGPL-* AGPLv* AGPL3* GFDL* FDL* Apache* ASL-*"),
  ...rows("free", "MIT MIT-* MIT/* Expat Expat-* X11* X-* ISC ISC-* BSD BSD-* BSD[0-9]* 0BSD NetBSD* Zlib* zlib-* libpng* libtiff*"),
  ...rows("free", "MPL-* MPL MPLv* EPL-* CDDL* CPL-* IPL-* EUPL* Artistic* PerlArtistic Perl Clarified-Artistic ClArtistic"),
  ...rows("free", "CC0* CC-BY-[0-9]* CC-BY-SA-* public-domain* PD PD-* Unlicense* WTFPL* FSFAP* FSFUL* FSF-* GAP"),
  ...rows("free", "PSF* Python* Ruby* PHP-* Vim* OpenSSL* SSLeay curl* OFL* Unicode* ICU* FTL* FreeType* IJG* Sleepycat* PostgreSQL*"),
  ...rows("free", "NCSA* W3C* TCL* TCP-wrappers* OpenLDAP* OLDAP-* SGI-B* HPND* bzip2* BSL BSL-* Boost* Beerware* blessing NTP* Info-ZIP*"),
  ...rows("free", "Bitstream-Vera* Ubuntu-font* Zend-* AFL-* APSL-2* ZPL* Spencer* Caldera* permissive* none-needed UPL-* BlueOak-*"),
];

/** Where distributions keep what is not free, or needs what is not. */
const NONFREE_AREA = /^(?:non-free(?:-firmware)?|contrib|restricted|multiverse)(?:\/|$)/;

export interface Refusal {
  readonly package: string;
  readonly because: string;
}

/** The packages that the policy does not take, each with the reason. Pure. */
export function refusedPackages({ packages }: Pick<PackageList, "packages">, licences: Licences): readonly Refusal[] {
  const policy = licences === "free" ? { free: true, allow: [], deny: [], packages: [] } : licences;
  return packages.flatMap((one) => {
    if (policy.packages.some((pattern) => fits(one.name, pattern))) return [];
    const because = reasonToRefuse(one, policy);
    return because === undefined ? [] : [{ package: `${one.name} ${one.version}`, because }];
  });
}

type Policy = Exclude<Licences, "free">;

function reasonToRefuse(one: InstalledPackage, policy: Policy): string | undefined {
  const area = NONFREE_AREA.exec(one.section ?? "")?.[0].replace("/", "");
  // What a distribution keeps apart it has judged itself, and no licence by name is judged better.
  if (area !== undefined && policy.allow.length === 0) return `its distribution keeps it in ${area}`;
  if (one.licences.length === 0) return "its licence is not known";
  // Debian takes into its main archive what is free, under whatever name the licence goes there.
  const isJudged = one.manager === "deb" && area === undefined;
  const isTaken = (name: string): boolean => {
    if (policy.deny.some((pattern) => isNamed(name, pattern))) return false;
    if (policy.allow.some((pattern) => isNamed(name, pattern))) return true;
    if (!policy.free || area !== undefined) return false;
    const kind = LICENCE_ROWS.find(({ pattern }) => isNamed(name, pattern))?.is;
    return kind === "free" || (kind === undefined && isJudged);
  };
  const refused = one.licences.filter((text) => {
    const expression = decodeLicences(text);
    return expression === undefined || !isSatisfied(expression, isTaken);
  });
  return refused.length === 0 ? undefined : refused.join(", ");
}

/** "GPL-2+ with OpenSSL exception" is also meant by what means GPL-2+: an exception only takes conditions away. */
const isNamed = (name: string, pattern: string): boolean => fits(name, pattern) || fits(name.replace(/\s+with\s.*$/is, ""), pattern);

/** As a glob, without regard to case; a slash is a character like others here. */
function fits(name: string, pattern: string): boolean {
  const key = plain(pattern);
  let glob = globs.get(key);
  if (glob === undefined) {
    glob = compileGlob(key);
    globs.set(key, glob);
  }
  return glob(plain(name));
}

const globs = new Map<string, (text: string) => boolean>();
const plain = (text: string): string => text.toLowerCase().replaceAll("/", "|");

const SHOWN_MAX = 30;

/** Throws where the stage's policy refuses a package, naming all of them, and where nothing is known of the packages. */
export function checkLicences(list: PackageList | undefined, licences: Licences | undefined): void {
  if (licences === undefined) return;
  const fail = (found: string, hint: string): HiperisoError =>
    new HiperisoError({
      what: "check the licences",
      expected: licences === "free" ? "free software only" : "packages under the licences that the stage allows",
      found,
      hint,
    });
  if (list === undefined) throw fail("no database of packages", "Leave `licences` out, or use a root file system made of packages.");
  if (list.unread.length > 0)
    throw fail(`a database of ${list.unread.join(", ")}, which is not read`, "Leave `licences` out of this stage.");
  const refused = refusedPackages(list, licences);
  if (refused.length === 0) return;
  const lines = refused.slice(0, SHOWN_MAX).map(({ package: name, because }) => `${name}: ${because}`);
  const more = refused.length > SHOWN_MAX ? [`and ${refused.length - SHOWN_MAX} more`] : [];
  throw fail(
    [`${refused.length} package${refused.length === 1 ? "" : "s"}`, ...lines, ...more].join("\n"),
    "Remove them, or allow them by name in `licences`.",
  );
}
