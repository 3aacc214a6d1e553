/** Why a package manager could not install what was asked for, out of what it said. */
import { HiperisoError } from "../contract/error.ts";

interface FailureRow {
  readonly line: RegExp;
  readonly expected: string;
  readonly hint: string;
  /** A line that it fits, and one that looks alike and that it must not fit. */
  readonly fits: string;
  readonly spares: string;
}

const NAMES = "Check the names in the spec, and which release and which sources the root file system is made from.";
const NETWORK = "Check the network and the addresses of the package sources.";

/** Tried in turn: a network that is missing makes packages missing too. */
export const FAILURE_ROWS: readonly FailureRow[] = [
  {
    line: /Temporary failure resolving|Could not resolve|Could not connect|Network is unreachable|Connection (?:refused|timed out)|temporary error \(try again later\)|Failed to fetch .*(?:resolv|connect)/i,
    expected: "a network on which the package sources answer",
    hint: NETWORK,
    fits: "Err:1 http://deb.debian.org/debian bookworm InRelease  Temporary failure resolving 'deb.debian.org'",
    spares: "Setting up resolvconf (1.91) ...",
  },
  {
    line: /No space left on device|You don't have enough free space/i,
    expected: "room on the disk",
    hint: "Make room where the store is (--store), or run `hiperiso live gc`.",
    fits: "dpkg: error processing archive x.deb (--unpack): cannot copy data: No space left on device",
    spares: "After this operation, 3 MB of additional disk space will be used.",
  },
  {
    line: /Unable to locate package|has no installation candidate|Couldn't find any package|Version .* was not found|required by: world\[|\(no such package\)|No match for argument|Unable to find a match|target not found|there are no ebuilds to satisfy/i,
    expected: "packages that the sources have",
    hint: NAMES,
    fits: "E: Unable to locate package no-such-package",
    spares: "Unable to correct problems, you have held broken packages.",
  },
  {
    line: /unmet dependencies|held broken packages|nothing provides|unresolvable|could not satisfy dependencies|conflicting requests/i,
    expected: "packages that can be installed together",
    hint: NAMES,
    fits: "The following packages have unmet dependencies:",
    spares: "Resolving dependencies...",
  },
  {
    line: /NO_PUBKEY|is not signed|invalid signature|UNTRUSTED signature|Release file .* expired|signature from .* is (?:unknown trust|invalid)/i,
    expected: "package sources whose signature is known",
    hint: "Install the keyring of the distribution, or name its key in the source: deb [signed-by=FILE] …",
    fits: "W: GPG error: http://x bookworm InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 0E98404D386FA1D9",
    spares: "Get:1 http://x bookworm/main amd64 debian-archive-keyring all",
  },
  {
    line: /Sub-process .*dpkg returned an error|post-installation script subprocess returned error|script exited with error|scriptlet failed/i,
    expected: "packages whose own scripts end well",
    hint: "The stage's log has what the script said: it stands above the last lines.",
    fits: "E: Sub-process /usr/bin/dpkg returned an error code (1)",
    spares: "Processing triggers for man-db",
  },
];

const LINES_SHOWN = 12;

/** `said`: the last lines of the package manager. Those that tell why come first. */
export function packageFailure(what: string, packages: readonly string[], said: string): HiperisoError {
  const lines = said.split("\n");
  for (const { line, expected, hint } of FAILURE_ROWS) {
    const telling = lines.filter((candidate) => line.test(candidate));
    if (telling.length > 0) {
      const found = [...new Set(telling)].slice(0, LINES_SHOWN).join("\n");
      return new HiperisoError({ what, where: packages.join(" "), expected, found, hint });
    }
  }
  return new HiperisoError({ what, where: packages.join(" "), found: lines.slice(-LINES_SHOWN).join("\n") });
}
