/**
 * The lines by which the build of a bootstrap shows where it stands: rows, like the stages' marks. The early shell (kaem) tells each command
 * before it runs it; later scripts (bash) say each phase of a package in words. Named groups: `name`, `pass`, `what`.
 */

export const STEP_DIRECTIVES = ["build", "improve", "jump", "uninstall"] as const;
export type StepDirective = (typeof STEP_DIRECTIVES)[number];

export interface BuildMark {
  readonly id: string;
  /**
   * begin: a step of the manifest. pass: which build of the package. phase: what is done now. done: the step is over, well. handover: one
   * kernel gives the machine to the next.
   */
  readonly tells:
    | { readonly what: "begin"; readonly directive: StepDirective }
    | { readonly what: "pass" }
    | { readonly what: "phase"; readonly phase: string }
    | { readonly what: "done"; readonly as: "built" | "installed" }
    | { readonly what: "handover"; readonly to: string };
  readonly pattern: RegExp;
  readonly matches: readonly string[];
  readonly ignores: readonly string[];
}

/** A package as the manifest names it. */
const NAME = "(?<name>\\w[\\w.+~-]{0,100})";

const phase = (id: string, named: string, words: string): BuildMark => ({
  id: `build/${id}`,
  tells: { what: "phase", phase: named },
  pattern: new RegExp(`^${NAME}: ${words.replaceAll(".", "\\.")}$`),
  matches: [`coreutils-5.0: ${words}`],
  ignores: [`${words}`, `coreutils-5.0: ${words.slice(0, -1)} and more`],
});

const command = (id: string, named: string, programs: string, example: string): BuildMark => ({
  id: `build/${id}`,
  tells: { what: "phase", phase: named },
  pattern: new RegExp(`^ \\+> (?:\\.{0,2}/\\S{0,200}/|\\./)?(?:${programs})(?= |$)`),
  matches: [` +> ${example} `],
  ignores: [` + ${example}`, ` +> echo ${example}`],
});

export const BUILD_MARKS: readonly BuildMark[] = [
  // kaem's steps
  {
    id: "build/kaem-package",
    tells: { what: "begin", directive: "build" },
    pattern: new RegExp(`^ \\+> pkg=${NAME}$`),
    matches: [" +> pkg=mes-0.27.1 "],
    ignores: ["pkg=mes-0.27.1", " +> pkg=", " +> pkg=a b"],
  },
  {
    id: "build/kaem-pass",
    tells: { what: "pass" },
    pattern: /^ \+> (?:\S{1,100}\/)?kaem --file (?:\.\/)?pass(?<pass>\d{1,3})\.kaem$/,
    matches: [" +> kaem --file pass1.kaem "],
    ignores: [" +> kaem --file /steps/0.sh"],
  },
  {
    id: "build/kaem-improve",
    tells: { what: "begin", directive: "improve" },
    pattern: /^ \+> (?:\S{1,100}\/)?kaem --file \/steps\/improve\/(?<name>[\w.+~-]{1,100})\.sh$/,
    matches: [" +> kaem --file /steps/improve/reconfigure.sh "],
    ignores: [" +> kaem --file /steps/1.sh"],
  },
  {
    id: "build/kaem-jump",
    tells: { what: "begin", directive: "jump" },
    pattern: /^ \+> (?:\S{1,100}\/)?kaem --file \/steps\/jump\/(?<name>[\w.+~-]{1,100})\.sh$/,
    matches: [" +> kaem --file /steps/jump/fiwix.sh "],
    ignores: [" +> kaem --file /steps/1.sh"],
  },
  command("kaem-get", "check the sources", "checksum-transcriber", "checksum-transcriber sources"),
  command("kaem-unpack", "unpack", "ungz|unbz2|unxz|untar", "untar --file make-3.82.tar"),
  command("kaem-prepare", "prepare", "simple-patch|patch|replace|catm", "simple-patch main.c ../a.before ../a.after"),
  command("kaem-configure", "configure", "configure|configure\\.sh", "./configure --prefix=/usr"),
  command("kaem-compile", "compile", "tcc|mes|mes-m2|make|cc|M2-Mesoplanet|[\\w-]{1,40}-tcc", "tcc -c getopt.c"),
  command("kaem-sources", "check the sources", "sha256sum -c sources\\.SHA256SUM", "sha256sum -c sources.SHA256SUM"),
  command("kaem-check", "check what was built", "sha256sum -[co] (?!sources\\.)\\S{1,200}", "sha256sum -c make-3.82.checksums"),

  // bash's steps
  {
    id: "build/bash-package",
    tells: { what: "begin", directive: "build" },
    pattern: new RegExp(`^${NAME}: beginning build using script (?:pass(?<pass>\\d{1,3})\\.sh|\\S{1,100})$`),
    matches: ["coreutils-6.10: beginning build using script pass1.sh", "x-1.0: beginning build using script stage2.sh"],
    ignores: ["beginning build using script pass1.sh"],
  },
  phase("get", "get the sources", "getting sources."),
  phase("unpack", "unpack", "unpacking source."),
  phase("prepare", "prepare", "preparing source."),
  phase("configure", "configure", "configuring source."),
  phase("compile", "compile", "compiling source."),
  phase("install", "install into the package's folder", "install to fakeroot."),
  phase("postprocess", "strip", "postprocess binaries."),
  phase("package", "make the package", "creating package."),
  phase("checksum", "check the package", "checksumming created package."),
  phase("clean", "clean up", "cleaning up."),
  phase("apply", "install", "installing package."),
  {
    id: "build/built",
    tells: { what: "done", as: "built" },
    pattern: new RegExp(`^${NAME}: build successful$`),
    matches: ["coreutils-6.10: build successful"],
    ignores: ["build successful", "coreutils-6.10: build successfully begun"],
  },
  {
    id: "build/preseeded",
    tells: { what: "done", as: "installed" },
    pattern: new RegExp(`^${NAME}: installing prebuilt package\\.$`),
    matches: ["coreutils-6.10: installing prebuilt package."],
    ignores: ["installing prebuilt package."],
  },
  {
    id: "build/uninstall",
    tells: { what: "begin", directive: "uninstall" },
    pattern: new RegExp(`^${NAME}: uninstalling\\.$`),
    matches: ["coreutils-5.0: uninstalling."],
    ignores: ["uninstalling."],
  },

  // From kernel to kernel
  {
    id: "build/kexec-fiwix",
    tells: { what: "handover", to: "Fiwix" },
    pattern: /^kexec-fiwix: jumping to trampoline\.\.\./,
    matches: ["kexec-fiwix: jumping to trampoline..."],
    ignores: ["kexec-fiwix: Reading kernel..."],
  },
  {
    id: "build/kexec-linux",
    tells: { what: "handover", to: "Linux" },
    pattern: /^(?:kexec_linux: jumping to linux_trampoline\(\) \.\.\.|(?:\[ *\d+\.\d+\] )?kexec_core: Starting new kernel)/,
    matches: ["kexec_linux: jumping to linux_trampoline() ...", "kexec_core: Starting new kernel"],
    ignores: ["kexec_linux: boot_params: 90000"],
  },
];
