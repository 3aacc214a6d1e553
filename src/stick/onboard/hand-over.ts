/**
 * The computer is given to the image's own kernel, by kexec: what `fallback_no_kvm` asks for where there is no KVM (CONTRACT section 3). The kernel is loaded
 * here, while everything still runs, so that a kernel that refuses (lockdown, no kexec) is an answer and not the end.
 */
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { KERNEL_COMMAND_LINE_BYTES_MAX } from "../../formats/kernel-command-line.ts";
import { lookForTool } from "../../host/tools.ts";
import type { Environment } from "../../host/xdg.ts";
import { type BlockSource, openImage } from "../../image/block-source.ts";
import type { ImageFacts } from "../../image/image-facts.ts";
import type { ImagePart } from "../../image/menus/boot-entry.ts";
import { openMenuVolumes } from "../../image/menus/menu-volumes.ts";
import { readBootMenus } from "../../image/menus/read-menus.ts";
import { takeOutFiles } from "../../image/menus/take-out.ts";
import { withSerialConsole } from "../../machine/serial-console.ts";
import { joinInitrds } from "../../session/join-initrds.ts";
import { directWords, isDirectPath, planDirectBoot } from "../menu/direct-boot.ts";
import { onHost, type StickPlaces } from "./places.ts";

export type HandOver =
  /** In force with the next restart into it. `detail`: what is started, for a person. */
  | { readonly loaded: true; readonly detail: string }
  /** A clause for a person. */
  | { readonly loaded: false; readonly because: string };

export interface HandOverWish {
  /** From the data partition's root. */
  readonly image: string;
  readonly facts: ImageFacts;
  readonly places: StickPlaces;
  /** A private folder in memory, for kernel and initramfs. */
  readonly scratch: string;
  /** The stick's own kernel speaks on a serial line: so shall the image's. */
  readonly serial: boolean;
  readonly env: Environment;
}

/** Throws only when aborted. */
export async function loadImageKernel(wish: HandOverWish, job: Job): Promise<HandOver> {
  try {
    return await load(wish, job);
  } catch (error) {
    job.signal.throwIfAborted();
    return no(error instanceof HiperisoError ? error.message : reasonOf(error));
  }
}

const no = (because: string): HandOver => ({ loaded: false, because });

async function load({ image, facts, places, scratch, serial, env }: HandOverWish, job: Job): Promise<HandOver> {
  const kexec = await lookForTool("kexec", env);
  if (kexec === undefined) return no("there is no kexec");
  if (!isDirectPath(image))
    return no("its name has a blank, a quote or a backslash in it, which systems that look for their own image cannot read");
  await using source = await openImage(onHost(places, image));
  const direct = planDirectBoot(facts, await readBootMenus(source, facts, job.signal));
  if (!direct.can) return no(direct.because);
  const uuid = await fileSystemUuid(places.data);
  if (uuid === undefined && direct.words.some((word) => word.includes("{U}")))
    return no("the data partition's file system has no identity that is known");
  const place = { path: image, uuid: uuid ?? "", label: facts.iso?.volumeId ?? "" };
  const words = directWords(direct.words, place).join(" ");
  const line = serial ? withSerialConsole(words) : words;
  if (Buffer.byteLength(line) > KERNEL_COMMAND_LINE_BYTES_MAX)
    return no(`its kernel would be told more than ${KERNEL_COMMAND_LINE_BYTES_MAX} bytes`);
  const parts = await partsOf(source, facts, direct, job.signal);
  if (typeof parts === "string") return no(`${parts} is not in the image`);
  const taken = await takeOutFiles(source, facts, parts, join(scratch, "hand-over"), job);
  const initrd = join(scratch, "hand-over", "initrd");
  if (taken.initrds.length > 0) await joinInitrds(taken.initrds, initrd);
  // -a: by the call that checks signatures, and by the older one where that is not there.
  const args = ["-a", "-l", taken.kernel, `--command-line=${line}`, ...(taken.initrds.length > 0 ? [`--initrd=${initrd}`] : [])];
  const { exitCode, all } = await execa(kexec, args, {
    all: true,
    reject: false,
    cancelSignal: job.signal,
    extendEnv: false,
    env: { LC_ALL: "C" },
  });
  job.signal.throwIfAborted();
  if (exitCode !== 0) return no(`kexec refused its kernel: ${lastLine(all) || `status ${exitCode ?? "none"}`}`);
  return { loaded: true, detail: `${direct.kernel} of ${image} (${direct.family}), told: ${line}` };
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1)?.slice(0, 300) ?? "";

interface DirectFiles {
  readonly kernel: string;
  readonly initrds: readonly string[];
}

/** The files as parts of the image; the path of one that is not there. */
async function partsOf(
  source: BlockSource,
  facts: ImageFacts,
  { kernel, initrds }: DirectFiles,
  signal: AbortSignal,
): Promise<{ readonly kernel: ImagePart; readonly initrds: readonly ImagePart[] } | string> {
  const volume = (await openMenuVolumes(source, facts, signal)).find(({ fileSystem }) => fileSystem === "iso9660");
  const found: ImagePart[] = [];
  for (const path of [kernel, ...initrds]) {
    const node = await volume?.find(path);
    if (volume === undefined || node === undefined || node.directory) return path;
    found.push({ volume: volume.volume, path, startBytes: 0, sizeBytes: Number(node.sizeBytes) });
  }
  const [first, ...rest] = found;
  return first === undefined ? kernel : { kernel: first, initrds: rest };
}

/** As udev writes it, by the boot sector of what is mounted at `folder`: exFAT's serial number at byte 100, FAT32's at 67, FAT16's at 39. Undefined for others. */
export async function fileSystemUuid(folder: string, mountinfo = "/proc/self/mountinfo"): Promise<string | undefined> {
  const device = mountedFrom(await readFile(mountinfo, "utf8"), folder);
  if (device === undefined) return undefined;
  const file = await open(device, "r");
  try {
    const sector = Buffer.alloc(512);
    await file.read(sector, 0, sector.length, 0);
    return serialOf(sector);
  } finally {
    await file.close();
  }
}

/** proc_pid_mountinfo(5): the fifth field is the place, the second behind `-` what is mounted there. Blanks are written as \040. */
export function mountedFrom(mountinfo: string, folder: string): string | undefined {
  const place = folder.replace(/[ \t\n\\]/g, (letter) => `\\${letter.charCodeAt(0).toString(8).padStart(3, "0")}`);
  const line = mountinfo.split("\n").findLast((one) => one.split(" ")[4] === place);
  const words = line?.split(" ") ?? [];
  const source = words[words.indexOf("-") + 2];
  return source?.startsWith("/dev/") === true ? source : undefined;
}

export function serialOf(sector: Uint8Array): string | undefined {
  const text = (from: number, length: number) => Buffer.from(sector.subarray(from, from + length)).toString("latin1");
  const at = text(3, 8) === "EXFAT   " ? 100 : text(82, 5) === "FAT32" ? 67 : text(54, 3) === "FAT" ? 39 : undefined;
  if (at === undefined || sector.length < 512) return undefined;
  const serial = new DataView(sector.buffer, sector.byteOffset).getUint32(at, true).toString(16).toUpperCase().padStart(8, "0");
  return `${serial.slice(0, 4)}-${serial.slice(4)}`;
}
