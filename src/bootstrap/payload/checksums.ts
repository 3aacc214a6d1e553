/**
 * Lists of files with their SHA-256, a line each, in three forms that may stand mixed:
 *
 *   SUM distfiles URL NAME    what live-bootstrap's source_manifest.py prints: one blank between, a file once for each of its URLs
 *   SUM  NAME, SUM *NAME      what sha256sum prints; a backslash before the sum says that \\, \n and \r in the name are escapes
 *   SHA256 (NAME) = SUM       what sha256sum --tag prints
 */
import { HiperisoError } from "../../contract/error.ts";

/** Of a file's name without its folders, for a container has none: the sum as 64 lower-case digits. */
export type Checksums = ReadonlyMap<string, string>;

const SUM = "[0-9A-Fa-f]{64}";
const MANIFEST_LINE = new RegExp(`^(${SUM}) [^ *]\\S* \\S+ (\\S+)$`);
const COREUTILS_LINE = new RegExp(`^(\\\\?)(${SUM}) [ *](.+)$`, "s");
const TAGGED_LINE = new RegExp(`^(\\\\?)SHA256 \\((.+)\\) = (${SUM})$`, "s");

/** Throws (`usage`) with the line where one has none of the forms, where a file is there with two sums, and where no file is. */
export function decodeChecksums(text: string, where: string): Checksums {
  const sums = new Map<string, string>();
  for (const [index, raw] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    const line = raw.replace(/\r$/, "");
    if (line.trim() === "" || line.startsWith("#")) continue;
    const bad = (expected: string, found: string, hint?: string) =>
      new HiperisoError({
        what: "read a list of checksums",
        where: `${where}:${index + 1}`,
        expected,
        found,
        kind: "usage",
        ...(hint === undefined ? {} : { hint }),
      });
    const decoded = decodeLine(line);
    if (decoded === undefined) {
      throw bad(
        '"SUM distfiles URL NAME", "SUM  NAME" or "SHA256 (NAME) = SUM"',
        JSON.stringify(line.slice(0, 200)),
        "SUM is a SHA-256: 64 hexadecimal digits.",
      );
    }
    const { name, sum } = decoded;
    const before = sums.get(name);
    if (before !== undefined && before !== sum) throw bad(`one sum for "${name}"`, `${before} before, and ${sum} here`);
    sums.set(name, sum);
  }
  if (sums.size > 0) return sums;
  throw new HiperisoError({ what: "read a list of checksums", where, expected: "at least one file", found: "none", kind: "usage" });
}

function decodeLine(line: string): { readonly name: string; readonly sum: string } | undefined {
  const manifest = MANIFEST_LINE.exec(line);
  if (manifest !== null) return named(manifest[2]!, manifest[1]!);
  const coreutils = COREUTILS_LINE.exec(line);
  if (coreutils !== null) return named(unescaped(coreutils[3]!, coreutils[1]!), coreutils[2]!);
  const tagged = TAGGED_LINE.exec(line);
  return tagged === null ? undefined : named(unescaped(tagged[2]!, tagged[1]!), tagged[3]!);
}

const named = (path: string, sum: string) => ({ name: path.slice(path.lastIndexOf("/") + 1), sum: sum.toLowerCase() });

const unescaped = (name: string, mark: string): string =>
  mark === "" ? name : name.replace(/\\([\\nr])/g, (_, letter: string) => ({ n: "\n", r: "\r" })[letter] ?? "\\");
