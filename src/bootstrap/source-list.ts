/**
 * The list of a package's source files (`steps/PACKAGE/sources`): one file a line, words with one space between them, no comments,
 * no empty lines.
 *
 *   f URL SHA256 [NAME]              a file; URL `_` where only mirrors have it, and then NAME must be there
 *   g GITURL URL SHA256 [NAME]       a snapshot of a git repository; GITURL is REPOSITORY~REF
 *
 * `file` and `git` may be written out. NAME defaults to what follows the last `/` of URL, a query string included. The same NAME on several
 * lines with the same SHA256 is one file with several places to get it from.
 */
import { HiperisoError } from "../contract/error.ts";

export interface SourceLine {
  /** The file, for messages. */
  readonly where: string;
  /** Counted from 1. */
  readonly line: number;
  readonly kind: "file" | "git";
  readonly gitUrl?: string;
  /** Undefined where only mirrors have the file. */
  readonly url: string | undefined;
  /** 64 hexadecimal digits, small letters. */
  readonly sha256: string;
  /** The file's name in the folder of distfiles: never empty, never a path. */
  readonly name: string;
}

/** A file that has to be there, by name. */
export interface Distfile {
  readonly name: string;
  readonly sha256: string;
  /** In the order of the lines, each once; empty where only mirrors have it. */
  readonly urls: readonly string[];
  /** Packages, in the order of the manifest. */
  readonly wantedBy: readonly string[];
}

const NAME_BYTES_MAX = 255;

/** Throws (`usage`) at the first line that is not of the form above. */
export function parseSources(text: string, where: string): readonly SourceLine[] {
  const lines = text.split("\n");
  // A last line without a newline counts; behind a last newline there is no line.
  if (lines[lines.length - 1] === "") lines.pop();
  return lines.map((line, index) => parseLine(line, where, index + 1));
}

function parseLine(text: string, where: string, line: number): SourceLine {
  const bad = (column: number, expected: string, found: string, hint?: string): HiperisoError =>
    new HiperisoError({
      what: "read the list of sources",
      where: `${where}:${line}:${column}`,
      expected,
      found,
      kind: "usage",
      ...(hint === undefined ? {} : { hint }),
    });
  // Both readers take blanks around a line away; between words the host cuts at each, the guest at any number.
  const lead = text.length - text.trimStart().length;
  const trimmed = text.trim();
  if (trimmed === "")
    throw bad(1, "f URL SHA256 [NAME]", "an empty line", "Neither the host nor the guest skips empty lines in this file.");
  const strange = /[\0-\x1f\x7f]/.exec(trimmed);
  if (strange !== null || /[^ \t]/.test(text.slice(0, lead) + text.slice(lead + trimmed.length)))
    throw bad(lead + (strange?.index ?? trimmed.length) + 1, "words with one space between them", "a control character");
  const words = trimmed.split(" ");
  const columnOf = (index: number): number => words.slice(0, index).reduce((sum, word) => sum + word.length + 1, lead + 1);
  const empty = words.indexOf("");
  if (empty !== -1)
    throw bad(columnOf(empty), "words with one space between them", "a space too many", "Host and guest differ in what they read here.");
  const [kindWord] = words as [string];
  const kind = KINDS[kindWord];
  if (kind === undefined) throw bad(lead + 1, '"f", "file", "g" or "git"', `"${kindWord}"`);
  const first = kind === "git" ? 2 : 1;
  const form = kind === "git" ? "g GITURL URL SHA256 [NAME]" : "f URL SHA256 [NAME]";
  if (words.length < first + 2) throw bad(lead + trimmed.length + 1, form, `${words.length} words`);
  if (words.length > first + 3) throw bad(columnOf(first + 3), form, `${words.length} words`);
  const [url, sha256, given] = words.slice(first) as [string, string, string?];
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw bad(columnOf(first + 1), "a SHA-256 of 64 hexadecimal digits, small letters", `"${sha256}"`);
  if (url === "_" && given === undefined)
    throw bad(lead + trimmed.length + 1, "a file name: from the URL _ none can be taken", "the end of the line");
  const name = given ?? url.slice(url.lastIndexOf("/") + 1);
  if (!isFileName(name)) throw bad(columnOf(given === undefined ? first : first + 2), "a file name that is not a path", `"${name}"`);
  return {
    where,
    line,
    kind,
    ...(kind === "git" ? { gitUrl: words[1]! } : {}),
    url: url === "_" ? undefined : url,
    sha256,
    name,
  };
}

const KINDS: Readonly<Record<string, SourceLine["kind"] | undefined>> = Object.assign(
  Object.create(null) as object,
  {
    f: "file",
    file: "file",
    g: "git",
    git: "git",
  } as const,
);

/** Names become files in one folder and entries of a container: no paths, nothing that a folder gives a meaning to. */
function isFileName(name: string): boolean {
  const bytes = new TextEncoder().encode(name).length;
  return bytes > 0 && bytes <= NAME_BYTES_MAX && name !== "." && name !== ".." && !/[/\\]/.test(name);
}

export interface PackageSources {
  readonly package: string;
  readonly lines: readonly SourceLine[];
}

/** Files by name, in the order in which `packages` first name them. Throws (`usage`) where one name has two checksums. */
export function distfilesOf(packages: Iterable<PackageSources>): readonly Distfile[] {
  const files = new Map<string, { line: SourceLine; urls: Set<string>; wantedBy: Set<string> }>();
  for (const { package: wanting, lines } of packages) {
    for (const line of lines) {
      const file = files.get(line.name) ?? { line, urls: new Set<string>(), wantedBy: new Set<string>() };
      if (file.line.sha256 !== line.sha256) throw twoChecksums(file.line, line);
      if (line.url !== undefined) file.urls.add(line.url);
      file.wantedBy.add(wanting);
      files.set(line.name, file);
    }
  }
  return [...files.values()].map(({ line, urls, wantedBy }) => ({
    name: line.name,
    sha256: line.sha256,
    urls: [...urls],
    wantedBy: [...wantedBy],
  }));
}

function twoChecksums(first: SourceLine, second: SourceLine): HiperisoError {
  return new HiperisoError({
    what: "collect the sources",
    where: `${second.where}:${second.line}`,
    expected: `the checksum of ${first.name} that ${first.where}:${first.line} names, ${first.sha256}`,
    found: second.sha256,
    hint: "Two different files need two names: give one of them a NAME of its own.",
    kind: "usage",
  });
}
