/**
 * Catalyst's two livecd targets as a graph of our stages. What livecd-stage2 does in one tree is parted: the system of the medium on one side, the kernel and the boot
 * loaders on the other, both from the seed, and the medium takes both. Pure.
 */
import { shellWord } from "../../formats/escape-shell.ts";
import { type PackageWorld, WORLDS, type World } from "./package-worlds.ts";
import type { CatalystMedia, NotCarried, TargetSpec } from "./specs.ts";

export interface MediaGraphWish {
  /** Names spec, image and the folder of what stands beside it. */
  readonly name: string;
  readonly epochS: number;
  /** Which distribution's names packages have. */
  readonly world: PackageWorld;
  /** Of the seed's archive: `.tar.xz`. */
  readonly seedEnding: string;
}

export interface MediaGraph {
  /** A spec of ours, as a value: its keys are in the order in which they are written. */
  readonly spec: Readonly<Record<string, unknown>>;
  /** By stage: what it is, for a comment. */
  readonly about: Readonly<Record<string, string>>;
  readonly beside: readonly BesideFile[];
  readonly notCarried: readonly NotCarried[];
}

/** What has to stand beside our spec. */
export type BesideFile =
  /** `from` as the catalyst spec names it; an archive without its ending, and from catalyst's own folder of builds. A folder's content goes into `to`, beside what else does. */
  | { readonly kind: "file" | "folder" | "archive"; readonly from: string; readonly to: string }
  | { readonly kind: "text"; readonly text: string; readonly to: string };

type Options = Record<string, unknown>;

/** While a graph is made. */
interface Making {
  readonly wish: MediaGraphWish;
  readonly world: World;
  readonly stages: Record<string, Options>;
  readonly about: Record<string, string>;
  readonly beside: BesideFile[];
  readonly notCarried: NotCarried[];
}

/** `media` has at least one spec. */
export function planMediaGraph(media: CatalystMedia, wish: MediaGraphWish): MediaGraph {
  const making: Making = { wish, world: WORLDS[wish.world], stages: {}, about: {}, beside: [], notCarried: [...media.notCarried] };
  const { stage1, stage2 } = media;
  const first = (stage1 ?? stage2)!;
  const seed = "seed";
  making.stages[seed] = {
    kind: "seed",
    tarball: { file: beside(making, "archive", first.text("source_subpath")!, `seed${wish.seedEnding}`) },
  };
  making.about[seed] = `${first.text("source_subpath")}: what both sides begin with.`;
  checkArchitecture(first, making);
  let system = seed;
  if (stage1 !== undefined) system = addPackages(stage1, system, making);
  const result = stage2 === undefined ? addImage(undefined, system, making) : addMedium(stage2, system, seed, making);
  const { name, epochS } = wish;
  const order = [stage1?.path, stage2?.path];
  return {
    spec: { name, epoch: epochS, result, stages: making.stages },
    about: making.about,
    beside: making.beside,
    notCarried: making.notCarried.sort((a, b) => order.indexOf(a.path) - order.indexOf(b.path) || a.line - b.line),
  };
}

function beside({ wish, beside: files }: Making, kind: "file" | "folder" | "archive", from: string, to: string): string {
  const path = `${wish.name}/${to}`;
  files.push({ kind, from, to: path });
  return path;
}

function left({ notCarried }: Making, spec: TargetSpec, key: string, because: string): void {
  notCarried.push({ path: spec.path, line: spec.lineOf(key), key, because });
}

/** As catalyst's arch/*.toml names what runs on an x86-64. */
const OWN_SUBARCH =
  /^(?:amd64|x86_64|x86-64(?:-v[1-4])?|amd64\/.*|core2|nehalem|k8|nocona|opteron|athlon64|haswell|skylake.*|znver[1-5]|native)$/;

function checkArchitecture(spec: TargetSpec, making: Making): void {
  const subarch = spec.text("subarch");
  if (subarch !== undefined && !OWN_SUBARCH.test(subarch)) left(making, spec, "subarch", "media are made for x86-64 only");
}

/** livecd-stage1: the packages of the medium. */
function addPackages(spec: TargetSpec, base: string, making: Making): string {
  const stage: Options = { kind: "rootfs", inputs: { base }, packages: [...spec.words("livecd/packages")] };
  const folder = "system-stage1";
  if (addPortage(spec, folder, making)) stage["files"] = `${making.wish.name}/${folder}`;
  making.stages["packages"] = stage;
  making.about["packages"] = "livecd-stage1: the packages of the medium.";
  return "packages";
}

/** Portage's settings are files like others. */
function addPortage(spec: TargetSpec, folder: string, making: Making): boolean {
  const from = spec.text("portage_confdir");
  if (from === undefined) return false;
  if (making.wish.world !== "portage") {
    left(making, spec, "portage_confdir", "packages are not Portage's here");
    return false;
  }
  beside(making, "folder", from, `${folder}/etc/portage`);
  return true;
}

/** livecd-stage2, and what it makes. */
function addMedium(spec: TargetSpec, base: string, seed: string, making: Making): { readonly stage: string; readonly file: string } {
  const system = addRemovals(spec, addSystem(spec, base, making), making);
  addKernel(spec, seed, making);
  addImage(spec, system, making);
  const file = isoName(spec, making);
  const console = consolesOf(spec, making);
  const medium: Options = {
    kind: "iso",
    inputs: { root: "image", kernel: "kernel", payloads: "payloads" },
    volume_id: volumeId(spec, making),
    file,
    title: spec.text("livecd/volid") ?? making.wish.name,
    timeout: 10,
    entries: ["live", "toram", ...console.entries, ...softLevels(spec, making)],
    ...(spec.words("livecd/bootargs").length > 0 ? { kernel_arguments: [...spec.words("livecd/bootargs")] } : {}),
  };
  if (addMediumFiles(spec, making)) medium["files"] = `${making.wish.name}/medium`;
  addVerify(spec, medium, making);
  making.stages["iso"] = medium;
  making.about["iso"] = "The medium: the system's image, the kernel, the boot loaders.";
  if (console.serial) {
    making.stages["test"] = { kind: "boot-test", inputs: { image: "iso" }, firmware: ["uefi", "bios"], until: "login" };
    making.about["test"] = "Does it boot?";
  }
  return { stage: "iso", file };
}

/** What is put into the medium's tree, in catalyst's order: blacklist, motd, settings, users, root overlay, fsscript, runlevels. */
function addSystem(spec: TargetSpec, base: string, making: Making): string {
  const { world, wish } = making;
  const folder = "system";
  const stage: Options = { kind: "rootfs", inputs: { base }, hostname: "livecd" };
  let files = addPortage(spec, folder, making);
  const blacklist = spec.words("livecd/modblacklist");
  if (blacklist.length > 0) {
    const text = ["# From livecd/modblacklist.", ...blacklist.map((module) => `blacklist ${module}`), ""].join("\n");
    making.beside.push({ kind: "text", text, to: `${wish.name}/${folder}/etc/modprobe.d/livecd-blacklist.conf` });
    files = true;
  }
  const type = spec.text("livecd/type") ?? "generic-livecd";
  if (type !== "generic-livecd") left(making, spec, "livecd/type", `the texts, users and menus of ${type} are Gentoo's own`);
  const motd = spec.text("livecd/motd");
  if (motd !== undefined && type.startsWith("gentoo-"))
    left(making, spec, "livecd/motd", `catalyst itself leaves it out with livecd/type ${type}`);
  else if (motd !== undefined) {
    beside(making, "file", motd, `${folder}/etc/motd`);
    files = true;
  }
  for (const from of spec.words("livecd/root_overlay")) {
    beside(making, "folder", from, folder);
    files = true;
  }
  if (files) stage["files"] = `${wish.name}/${folder}`;
  const users = spec.words("livecd/users");
  if (users.length > 0) {
    stage["users"] = Object.fromEntries(users.map((name) => [name, { comment: "Default LiveCD User", groups: world.userGroups }]));
    left(
      making,
      spec,
      "livecd/users",
      "as in catalyst no password opens their accounts: give them a `password_hash`, or a script that logs them in",
    );
  }
  addServices(spec, stage, making);
  const fsscript = spec.text("livecd/fsscript");
  if (fsscript !== undefined) {
    stage["scripts"] = [beside(making, "file", fsscript, "fsscript.sh")];
    left(making, spec, "livecd/fsscript", "it ends at the first command that fails, which catalyst lets pass");
  }
  making.stages["system"] = stage;
  making.about["system"] = "livecd-stage2, the half that is the system: overlay, users, script, services.";
  return "system";
}

function addServices(spec: TargetSpec, stage: Options, making: Making): void {
  const named = (key: string): readonly string[] =>
    spec.words(key).map((word) => {
      const bar = word.indexOf("|");
      const runlevel = bar < 0 ? undefined : word.slice(bar + 1);
      if (making.world.services === "openrc") return word;
      if (runlevel !== undefined && runlevel !== "default") {
        left(making, spec, key, `${word}: systemd has no runlevels: the service is enabled or disabled as a whole`);
      }
      return bar < 0 ? word : word.slice(0, bar);
    });
  const [enable, disable] = [named("livecd/rcadd"), named("livecd/rcdel")];
  if (enable.length + disable.length === 0) return;
  stage["services"] = { ...(enable.length > 0 ? { enable } : {}), ...(disable.length > 0 ? { disable } : {}) };
}

/** What is taken out again, in a stage of its own: in catalyst it comes behind the script, which may need what goes. */
function addRemovals(spec: TargetSpec, base: string, making: Making): string {
  const { world } = making;
  const lines = [...depclean(spec, making)];
  const packages = spec.words("livecd/unmerge");
  const paths: string[] = [];
  const minimal =
    spec.text("livecd/type") === "gentoo-release-minimal" ? ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*"] : [];
  for (const path of [...spec.words("livecd/rm"), ...minimal]) {
    const plain = pathBelow(path);
    if (plain === undefined) left(making, spec, "livecd/rm", `${path} is no path from the root of the tree`);
    else if (/[*?[\]]/.test(plain)) lines.push(`rm -rf -- ${globWord(plain)}`);
    else paths.push(plain);
  }
  for (const path of spec.words("livecd/empty")) {
    const plain = pathBelow(path);
    if (plain === undefined) {
      left(making, spec, "livecd/empty", `${path} is no path from the root of the tree`);
      continue;
    }
    const word = shellWord(`/${plain}`);
    lines.push(`if [ -d ${word} ] && [ ! -L ${word} ]; then find ${word} -mindepth 1 -delete; fi`);
  }
  if (packages.length + lines.length + paths.length === 0) return base;
  making.stages["smaller"] = {
    kind: "rootfs",
    inputs: { base },
    ...(packages.length > 0 ? { remove_packages: [...packages] } : {}),
    ...(lines.length > 0 ? { scripts: [{ run: lines.join("\n") }] } : {}),
    ...(paths.length > 0 ? { remove: [...new Set(paths)] } : {}),
  };
  making.about["smaller"] = `What the medium does not need: ${world.name} packages, files, contents of folders.`;
  return "smaller";
}

function depclean(spec: TargetSpec, making: Making): readonly string[] {
  const wanted = spec.text("livecd/depclean");
  if (wanted === "no") return [];
  if (making.wish.world === "portage") return [`emerge --depclean --with-bdeps=${wanted === "keepbdeps" ? "y" : "n"}`];
  if (wanted !== undefined) left(making, spec, "livecd/depclean", "packages that nothing needs stay: name them in `remove_packages`");
  return [];
}

/** Without its slash in front. Undefined: not below the root of the tree. */
function pathBelow(path: string): string | undefined {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return path.startsWith("/") && parts.length > 0 && !parts.includes("..") ? parts.join("/") : undefined;
}

/** For a shell: `*`, `?` and `[…]` are patterns, all else is literal. */
const globWord = (path: string): string => `/${path.replace(/[^A-Za-z0-9_./*?[\]@%+=:,-]/gu, (character) => `\\${character}`)}`;

/** The other half of livecd-stage2: a tree that is not the medium's, with the kernel and the boot loaders. */
function addKernel(spec: TargetSpec, seed: string, making: Making): void {
  const { world, wish } = making;
  const [label, ...others] = spec.words("boot/kernel");
  const key = (name: string): string => `boot/kernel/${label}/${name}`;
  for (const other of others)
    left(making, spec, "boot/kernel", `a medium has one kernel here: ${label}; ${other} would be another medium's`);
  const sources = spec.words(key("sources"));
  const isBuilt = (name: string): boolean => world.builtKernel.test(name);
  const kernels = sources.filter(isBuilt);
  for (const name of sources) {
    if (!isBuilt(name))
      left(
        making,
        spec,
        key("sources"),
        `${name} is sources of a kernel, which are not compiled here; ${kernels.length > 0 ? kernels.join(", ") : world.kernel} is taken`,
      );
  }
  const packages = [...(kernels.length > 0 ? kernels : [world.kernel]), ...spec.words(key("packages"))];
  const dracut = spec.words(key("dracut_args"));
  making.stages["kernel-system"] = {
    kind: "rootfs",
    inputs: { base: seed },
    packages: [...new Set([...packages, ...(dracut.length > 0 ? world.dracut : world.busybox), ...world.loaders])],
  };
  making.about["kernel-system"] = "livecd-stage2, the other half: a tree in which the kernel and the boot loaders are installed.";
  if (spec.words(key("aliases")).length > 0) left(making, spec, key("aliases"), "entries of the menu have one name");
  making.stages["kernel"] = { kind: "kernel", inputs: { root: "kernel-system" }, initramfs: initramfsOf(spec, dracut, key, making) };
  making.about["kernel"] = `The kernel "${label}" with its modules, and an initramfs that finds the medium.`;
  making.stages["payloads"] = { kind: "payloads", inputs: { root: "kernel-system" }, grub: {} };
  making.about["payloads"] = `Boot loaders of ${wish.name}, by BIOS and by UEFI.`;
}

/** By dracut where the spec has words for it; ours finds the medium otherwise, in the place of genkernel's. */
function initramfsOf(spec: TargetSpec, dracut: readonly string[], key: (name: string) => string, making: Making): Options {
  const overlay = spec.text(key("initramfs_overlay"));
  if (dracut.length > 0) {
    if (overlay !== undefined)
      left(making, spec, key("initramfs_overlay"), "catalyst gives it to genkernel alone, and this initramfs is dracut's");
    return { by: "dracut", arguments: [...dracut] };
  }
  return overlay === undefined ? {} : { files: beside(making, "folder", overlay, "initramfs") };
}

/** The file system in a file. */
function addImage(spec: TargetSpec | undefined, system: string, making: Making): { readonly stage: string; readonly file: string } {
  const image: Options = { kind: "squashfs", inputs: { root: system, ...(spec === undefined ? {} : { kernel: "kernel" }) } };
  if (spec !== undefined) {
    const type = spec.text("livecd/fstype");
    if (type !== undefined && type !== "squashfs") left(making, spec, "livecd/fstype", `the image is a squashfs, not ${type}`);
    addImageOptions(spec, image, making);
  }
  making.stages["image"] = image;
  making.about["image"] = "The system as one file, with the kernel's modules.";
  return { stage: "image", file: "root.squashfs" };
}

/** In KiB, as mksquashfs reads them. */
const BLOCKS: ReadonlyMap<string, number> = new Map([
  ...[128, 256, 512, 1024].flatMap((kib) => [`${kib * 1024}`, `${kib}K`, `${kib}k`].map((text): [string, number] => [text, kib])),
  ["1M", 1024],
  ["1m", 1024],
]);

/** Arguments of mksquashfs. */
function addImageOptions(spec: TargetSpec, image: Options, making: Making): void {
  const words = [...spec.words("livecd/fsops")];
  const unknown: string[] = [];
  while (words.length > 0) {
    const word = words.shift()!;
    if (word === "-comp" && ["gzip", "xz", "zstd", "lz4"].includes(words[0] ?? "")) image["compression"] = words.shift();
    else if (word === "-Xbcj" && words[0] === "x86")
      words.shift(); // ours does so too
    else if (word === "-b" && BLOCKS.has(words[0] ?? "")) image["block_kib"] = BLOCKS.get(words.shift()!);
    else if (word === "-comp" || word === "-Xbcj") unknown.push(`${word} ${words.shift() ?? ""}`.trim());
    else unknown.push(word);
  }
  if (unknown.length > 0) left(making, spec, "livecd/fsops", `of its arguments these are not known: ${unknown.join(" ")}`);
}

function isoName(spec: TargetSpec, making: Making): string {
  const iso = spec.text("livecd/iso");
  if (iso === undefined) return `${making.wish.name}.iso`;
  const base = iso
    .slice(iso.lastIndexOf("/") + 1)
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  const name = base === "" ? `${making.wish.name}.iso` : base.endsWith(".iso") ? base : `${base}.iso`;
  if (name !== iso) left(making, spec, "livecd/iso", `the image is named ${name}, and \`hiperiso live build --to\` says where it goes`);
  return name;
}

/** Of a label with blanks no boot loader finds the medium: `search --label`, `root=live:CDLABEL=`. */
function volumeId(spec: TargetSpec, making: Making): string {
  const wanted = spec.text("livecd/volid") ?? making.wish.name;
  const id = wanted
    .toUpperCase()
    .replaceAll(/[^A-Z0-9_]/g, "_")
    .slice(0, 32);
  if (spec.text("livecd/volid") !== undefined && id !== wanted)
    left(making, spec, "livecd/volid", `the volume's name is ${id}: other characters are not found by every boot loader`);
  return id;
}

/** Consoles of the first kernel, and whether the system's own words go to the serial port. */
function consolesOf(spec: TargetSpec, making: Making): { readonly entries: readonly unknown[]; readonly serial: boolean } {
  const [label] = spec.words("boot/kernel");
  const consoles = spec.words(`boot/kernel/${label}/console`);
  const onSerial = [...consoles, ...spec.words("livecd/bootargs").map((word) => word.replace(/^console=/, ""))].some((word) =>
    /^ttyS0/.test(word),
  );
  const entries = consoles.flatMap((name): readonly unknown[] =>
    /^ttyS0/.test(name)
      ? ["serial"]
      : [
          {
            id: `console-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`,
            title: `${making.wish.name} (console ${name})`,
            arguments: [`console=${name}`],
          },
        ],
  );
  return { entries: [...new Map(entries.map((entry) => [JSON.stringify(entry), entry])).values()], serial: onSerial };
}

function softLevels(spec: TargetSpec, making: Making): readonly unknown[] {
  const [label] = spec.words("boot/kernel");
  return [...new Set(spec.words(`boot/kernel/${label}/softlevel`))].map((name) => ({
    id: `softlevel-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`,
    title: `${making.wish.name} (${name})`,
    arguments: [`softlevel=${name}`],
  }));
}

/** What lies on the medium beside the image. */
function addMediumFiles(spec: TargetSpec, making: Making): boolean {
  const overlays = spec.words("livecd/overlay");
  for (const from of overlays) beside(making, "folder", from, "medium");
  const readme = spec.text("livecd/readme");
  if (readme !== undefined) beside(making, "file", readme, "medium/README.txt");
  return overlays.length > 0 || readme !== undefined;
}

function addVerify(spec: TargetSpec, medium: Options, making: Making): void {
  if (spec.text("livecd/verify") !== undefined) {
    medium["checksums"] = true;
    left(making, spec, "livecd/verify", "the list on the medium is /sha256sum.txt, for sha256sum; the initramfs does not look at it");
  }
  if (spec.text("livecd/iso_extra_partition") !== undefined) {
    left(making, spec, "livecd/iso_extra_partition", "an ISO has no partition for changes here: a stage of kind disk has one");
  }
}
