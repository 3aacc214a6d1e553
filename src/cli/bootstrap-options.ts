/**
 * The options of every `hiperiso bootstrap` command that needs a whole configuration: those of the tree's own generator under the same names,
 * its short forms of two letters too, which this program's parser does not know of itself.
 */
import { join, resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { type BootstrapOptions, checkOptions, DEFAULTS, type RawOptions } from "../bootstrap/options.ts";

const TWO_LETTERS: ReadonlyMap<string, string> = new Map([
  ["-bw", "--bwrap"],
  ["-qc", "--qemu-cmd"],
  ["-qr", "--qemu-ram"],
  ["-qs", "--target-size"],
  ["-qk", "--kernel"],
]);

/** A command with these options; add what it does. */
export function bootstrapCommand(name: string) {
  const command = new Command(name)
    .option("--tree <folder>", "checkout of live-bootstrap; it is never changed", ".")
    .option("--distfiles <folder>", "source files (default: distfiles in the checkout)")
    .option("-c, --chroot", "run inside a chroot")
    .option("--bwrap", "run inside a bwrap sandbox; short: -bw")
    .option("-q, --qemu", "run in QEMU")
    .option("-b, --bare-metal", "make images for bare metal")
    .option("-a, --arch <name>", "architecture that is built", DEFAULTS.arch)
    .option("-t, --target <folder>", "where everything is made", DEFAULTS.target)
    .option("--tmpfs", "mount a tmpfs on the target")
    .option("--tmpfs-size <size>", "size of that tmpfs", DEFAULTS.tmpfsSize)
    .option("--cores <n>", "processor cores for building", DEFAULTS.cores)
    .option("--force-timestamps", "at the end set all times to 1970")
    .option("--update-checksums", "write the files of checksums anew")
    .option("--external-sources", "bring all sources along instead of downloading them in the guest")
    .option("--build-kernels", "build the kernels in chroot and bwrap too")
    .option("--build-guix-also", "build steps-guix too, where the tree has it")
    .option("--no-create-config", "an empty configuration: the guest asks")
    .option("-i, --interactive", "a shell in the guest when something fails, and at the end")
    .option("--configurator", "run the guest's configurator")
    .option("-m, --mirrors <url...>", "mirrors of the sources; file:///absolute/path for a folder")
    .option("-r, --repo <folder>", "packages that were built before")
    .option("--early-preseed <tar>", "begin with what an earlier run built")
    .option("--internal-ci <pass>", "for the original's own tests: pass1, pass2, …")
    .option("-s, --swap <size>", "swap space in Linux", DEFAULTS.swap)
    .option("--qemu-cmd <program>", "QEMU to run; short: -qc", DEFAULTS.qemuCmd)
    .option("--qemu-ram <MiB>", "memory of the guest; short: -qr", DEFAULTS.qemuRam)
    .option("--target-size <size>", "size of the disk in QEMU; short: -qs", DEFAULTS.targetSize)
    .option("--kernel <file>", "boot this Linux kernel instead of the bootstrap's own; short: -qk")
    .option("--import-after <step>", 'where the payload is imported, such as "jump: linux"; a package; or the number of a line');
  return withTwoLetterFlags(command);
}

/** `-bw` is one flag here and not `-b -w`. */
export function withTwoLetterFlags<Kind extends Pick<Command, "parseOptions">>(command: Kind): Kind {
  const parse = command.parseOptions.bind(command);
  command.parseOptions = (argv) => {
    const end = argv.indexOf("--");
    const renamed = argv.map((word, index) => (end !== -1 && index > end ? word : longForm(word)));
    return parse(renamed);
  };
  return command;
}

/** `-qc` and `-qc=program`, as the original takes them. */
function longForm(word: string): string {
  const equals = word.indexOf("=");
  const flag = equals === -1 ? word : word.slice(0, equals);
  const long = TWO_LETTERS.get(flag);
  return long === undefined ? word : long + word.slice(flag.length);
}

export interface Asked {
  readonly tree: string;
  readonly distfiles: string;
  readonly options: BootstrapOptions;
}

/** Checked. Throws (`usage`) as `checkOptions`. */
export function askedOf(values: RawOptions & { readonly tree: string; readonly distfiles?: string | undefined }): Asked {
  const options = checkOptions(values);
  return { tree: values.tree, distfiles: resolve(values.distfiles ?? join(values.tree, "distfiles")), options };
}
