/** From an image's path and a person's wishes to a machine plan: gathers the facts, lets the pure functions decide. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Clock } from "../host/clock.ts";
import { fileReason } from "../host/file-reason.ts";
import { type FirmwareSearch, findFirmware } from "../host/firmware.ts";
import { type HostFacts, hostFacts } from "../host/host-facts.ts";
import { type KvmProbe, probeKvm } from "../host/kvm.ts";
import { checkPortFree } from "../host/ports.ts";
import { machineVersionOf, qemuFacts } from "../host/qemu-facts.ts";
import { qemuProcessors } from "../host/qemu-processors.ts";
import { findTool } from "../host/tools.ts";
import { traceDeclarations, traceLists } from "../host/trace-files.ts";
import { type Environment, runtimeFolder, xdgFolders } from "../host/xdg.ts";
import type { ImageFacts } from "../image/image-facts.ts";
import { openImageFacts } from "../image/probe.ts";
import type { DiskWish } from "../machine/disk-wish.ts";
import type { ExtrasWish } from "../machine/features/extras.ts";
import { chooseMachine } from "../machine/features/machine-name.ts";
import { checkMemoryCopy } from "../machine/memory-copy.ts";
import {
  type AcceleratorWish,
  type BootRequest,
  type HostToBootOn,
  type ImageToBoot,
  type MachinePlan,
  planMachine,
} from "../machine/plan.ts";
import { type Disk, type MachineParts, planParts } from "../machine/plan-parts.ts";
import { planTrace, type TraceOffer, type TracePlan } from "../machine/trace.ts";
import { findDisks } from "./find-disks.ts";
import type { Furnish } from "./furnish.ts";
import { type ImageKernel, kernelFromImage, type MenuWish } from "./image-kernel.ts";
import { imageInMemory } from "./memory-disk.ts";

export const QEMU = "qemu-system-x86_64";
/** What starts QEMU: a session without them would end before it began. */
const STARTERS = ["setpriv", "mkfifo"];

/** A machine decided, and what is known of the computer that is to run it. */
export interface PreparedMachine {
  readonly plan: MachinePlan;
  /** The same machine under emulation. */
  readonly emulated: MachinePlan;
  readonly host: HostFacts;
  readonly kvm: Pick<KvmProbe, "state" | "because">;
  /** Descriptors of firmware that were seen and not taken, each with its reason. */
  readonly firmware: FirmwareSearch;
  /** What is made of the image when its session has begun. */
  readonly furnish?: Furnish | undefined;
  /** Fields of `session.json` besides: which entry of the image's menu it is. */
  readonly added?: Readonly<Record<string, unknown>>;
}

export interface PreparedBoot extends PreparedMachine {
  /** Undefined where a kernel is started without an image. */
  readonly image: ImageFacts | undefined;
}

/** What a person asks for: its disks not looked at yet. */
export interface BootWish extends Omit<BootRequest, "disks"> {
  readonly disks: readonly DiskWish[];
  /** Of image and disks: files below them are taken wherever they stand. */
  readonly backingAnywhere: boolean;
  /** For `boot_mode grub2`. */
  readonly menu?: MenuWish | undefined;
  /** MB of trace; undefined: as the level has it. */
  readonly traceLimitMb?: number | undefined;
}

/** Throws (kind `usage`) on an image that cannot be read or booted and on settings that contradict it; nothing has been made then. */
export async function prepareBoot(
  imagePath: string | undefined,
  wish: BootWish,
  env: Environment,
  clock: Clock,
  job: Job,
): Promise<PreparedBoot> {
  const { accelerator, settings, extras, kernel, backingAnywhere } = wish;
  if (imagePath === undefined && kernel === undefined) throw nothingToBoot();
  const path = imagePath === undefined ? undefined : resolve(imagePath);
  const image = path === undefined ? undefined : await openImageFacts(path, job.signal, { format: undefined, backingAnywhere });
  for (const file of kernel === undefined ? [] : [kernel.path, ...(kernel.initrds ?? [])]) await checkReadable(file, false);
  const fromMenu = image === undefined || path === undefined ? undefined : await menuKernel(path, image, wish, job.signal);
  const request: BootRequest = {
    ...wish,
    kernel: kernel ?? fromMenu?.kernel,
    disks: await findDisks(wish.disks, backingAnywhere, job.signal),
  };
  await checkExtras(extras);
  const question: HostQuestion = {
    accelerator,
    fallback: settings.fallback,
    secureBoot: settings.secureBoot,
    qemu: QEMU,
    machine: extras.machine,
    tpm: settings.tpm || extras.tpmState !== undefined,
    processorFeatures: settings.cpuFeatures !== undefined,
  };
  const known = await askHost(question, env, clock, job);
  const trace = planTrace({ level: settings.traceLevel, limitMb: wish.traceLimitMb }, await known.askTrace());
  const imageToBoot =
    image === undefined || path === undefined ? undefined : imageToBootOf(image, path, (await stat(path)).isBlockDevice());
  const inMemory = imageToBoot === undefined ? undefined : memoryImage(imageToBoot, wish, known.hostToBootOn, env);
  return {
    furnish: fromMenu?.furnish ?? inMemory,
    ...(fromMenu === undefined ? {} : { added: { menu_entry: fromMenu.added } }),
    plan: traced(planMachine(request, imageToBoot, known.hostToBootOn), trace),
    emulated: traced(planMachine({ ...request, accelerator: "tcg" }, imageToBoot, known.hostToBootOn), trace),
    image,
    host: known.host,
    kvm: known.kvm,
    firmware: known.firmware,
  };
}

/** `boot_mode grub2`; a kernel that was given takes its place. */
async function menuKernel(path: string, image: ImageFacts, wish: BootWish, signal: AbortSignal): Promise<ImageKernel | undefined> {
  const { settings, kernel, backingAnywhere, menu = { entry: undefined, append: undefined } } = wish;
  if (kernel !== undefined) return undefined;
  if (settings.bootMode !== "grub2") {
    if (menu.append !== undefined) throw appendToNobody();
    return undefined;
  }
  if (settings.secureBoot) {
    throw new HiperisoError({
      what: "start a kernel out of the image",
      where: path,
      expected: "--boot-mode grub2 or --secure-boot",
      found: "both: a kernel that is started without the image's boot loader was not checked by it",
      kind: "usage",
    });
  }
  return await kernelFromImage(path, image, { format: undefined, backingAnywhere }, menu, signal);
}

const appendToNobody = (): HiperisoError =>
  new HiperisoError({
    what: "understand the flags",
    where: "--append",
    expected: "a kernel that is given it",
    found: "an image that starts its own",
    hint: "--kernel-from-iso starts the kernel of the image's menu, --kernel another one.",
    kind: "usage",
  });

/** `boot_mode memdisk`, refused where there is no room for it. */
function memoryImage(image: ImageToBoot, { settings, writable }: BootWish, host: HostToBootOn, env: Environment): Furnish | undefined {
  if (settings.bootMode !== "memdisk") return undefined;
  const against = writable ? "--writable: what the guest writes to a copy is lost" : undefined;
  const found = against ?? (image.backing.length > 0 ? "an image that leans on other files" : undefined);
  if (found !== undefined) {
    const expected = "an image that stands in one file and is only read";
    throw new HiperisoError({ what: "copy the image into memory", where: image.path, expected, found, kind: "usage" });
  }
  checkMemoryCopy({
    image: image.path,
    imageBytes: image.sizeBytes,
    guestRamMb: settings.guestRam,
    availableRamMb: host.availableRamMb,
  });
  return imageInMemory(image.path, env);
}

/** A trace that cannot be had is told; the boot goes on without one. */
function traced(plan: MachinePlan, trace: TracePlan | string | undefined): MachinePlan {
  if (trace === undefined) return plan;
  return typeof trace === "string" ? { ...plan, warnings: [...plan.warnings, trace] } : { ...plan, trace };
}

const nothingToBoot = (): HiperisoError =>
  new HiperisoError({
    what: "boot a machine",
    expected: "an image, or a kernel",
    found: "neither",
    hint: "`hiperiso boot IMAGE`, or `hiperiso boot --kernel FILE`; --disk attaches disks beside them.",
    kind: "usage",
  });

/** As `prepareBoot`, for a machine whose parts are given. Files are looked at here: a disk or kernel that cannot be read is refused. */
export async function prepareParts(
  parts: MachineParts,
  env: Environment,
  clock: Clock,
  job: Job,
  qemu: string = QEMU,
): Promise<PreparedMachine> {
  const { kernel } = parts;
  for (const path of kernel === undefined ? [] : [kernel.path, ...(kernel.initrds ?? [])]) {
    await checkReadable(path, false);
  }
  const disks: Disk[] = [];
  for (const disk of parts.disks) disks.push({ ...disk, blockDevice: await checkReadable(disk.path, disk.writable) });
  const { accelerator, fallback } = parts;
  const { hostToBootOn, host, kvm, firmware } = await askHost({ ...NOTHING_SPECIAL, accelerator, fallback, qemu }, env, clock, job);
  const plan = planParts({ ...parts, disks }, hostToBootOn);
  return { plan, emulated: planParts({ ...parts, disks, accelerator: "tcg" }, hostToBootOn), host, kvm, firmware };
}

/** What a person named for the guest's use, looked at before anything is made. */
async function checkExtras({ forwards, shares, tpmState, vnc }: ExtrasWish): Promise<void> {
  for (const { protocol, address, hostPort } of forwards) {
    await checkPortFree({ protocol, address, port: hostPort }, "forward a port to the guest");
  }
  if (typeof vnc === "number") await checkPortFree({ protocol: "tcp", address: "127.0.0.1", port: vnc }, "show the guest by VNC");
  for (const { path, writable } of shares) await checkFolder(path, writable, "share a folder with the guest");
  if (tpmState !== undefined && (await stat(tpmState).catch(() => undefined)) !== undefined) {
    await checkFolder(tpmState, true, "keep the TPM's state");
  }
}

async function checkFolder(path: string, writable: boolean, what: string): Promise<void> {
  try {
    if (!(await stat(path)).isDirectory()) throw new Error("it is no folder");
    await access(path, constants.R_OK | constants.X_OK | (writable ? constants.W_OK : 0));
  } catch (error) {
    const expected = `a folder that can be read${writable ? " and written" : ""}`;
    throw new HiperisoError({ what, where: path, expected, found: fileReason(error), kind: "usage", cause: error });
  }
}

/** True for a block device. */
async function checkReadable(path: string, writable: boolean): Promise<boolean> {
  try {
    await access(path, constants.R_OK | (writable ? constants.W_OK : 0));
    const facts = await stat(path);
    if (!facts.isFile() && !facts.isBlockDevice()) throw new Error("it is neither a file nor a block device");
    return facts.isBlockDevice();
  } catch (error) {
    throw new HiperisoError({
      what: "give the guest a file",
      where: path,
      expected: `a file or a block device that can be read${writable ? " and written" : ""}`,
      found: fileReason(error),
      kind: "usage",
      cause: error,
    });
  }
}

interface HostKnown extends Pick<PreparedMachine, "host" | "kvm" | "firmware"> {
  readonly hostToBootOn: HostToBootOn;
  readonly askTrace: () => Promise<TraceOffer>;
}

interface HostQuestion extends AcceleratorWish {
  readonly secureBoot: boolean;
  /** A name on PATH, or a path. */
  readonly qemu: string;
  /** As asked for; undefined: q35. */
  readonly machine: string | undefined;
  readonly tpm: boolean;
  readonly processorFeatures: boolean;
}

const NOTHING_SPECIAL = { secureBoot: false, machine: undefined, tpm: false, processorFeatures: false } as const;

async function askHost(question: HostQuestion, env: Environment, clock: Clock, job: Job): Promise<HostKnown> {
  const qemu = question.qemu.includes("/") ? resolve(question.qemu) : await findTool(question.qemu, env);
  for (const tool of STARTERS) await findTool(tool, env);
  const folders = xdgFolders(env);
  const cacheDir = join(folders.cache, "hiperiso");
  const [facts, host] = await Promise.all([qemuFacts(qemu, { cacheDir, signal: job.signal }), hostFacts()]);
  const machine = chooseMachine(question.machine ?? "q35", facts.machines);
  const swtpm = question.tpm ? await findTool("swtpm", env) : undefined;
  const firmware = await findFirmware(
    {
      interface: "uefi",
      architecture: "x86_64",
      machine: machineVersionOf(facts.machines, machine.name),
      secureBoot: question.secureBoot,
      formats: ["raw", "qcow2"],
    },
    env,
  );
  const kvm = await askForKvm(question, async () =>
    probeKvm({ qemu, cacheDir, runtimeDir: await runtimeFolder(env), signal: job.signal, clock }),
  );
  const mayBeKvm = kvm.state === "available" || question.accelerator === "kvm";
  const processor = question.processorFeatures ? await qemuProcessors(qemu, { kvm: mayBeKvm, signal: job.signal }) : undefined;
  const hostToBootOn: HostToBootOn = {
    qemu,
    totalRamMb: host.total_ram_mb,
    // So QEMU names the processors that it emulates (target/i386/cpu.c).
    isEmulated: /^QEMU (TCG|Virtual) CPU/.test(host.cpu_model),
    availableRamMb: host.available_ram_mb,
    kvm,
    uefi: uefiOf(firmware),
    offer: {
      machines: facts.machines,
      devices: facts.devices,
      displays: facts.displays,
      desktop: Boolean(env["WAYLAND_DISPLAY"] || env["DISPLAY"]),
      swtpm,
      processor,
    },
  };
  const askTrace = async (): Promise<TraceOffer> => ({
    lists: await traceLists(env),
    declarations: await traceDeclarations(qemu),
    binary: facts.simpleTrace,
  });
  return { hostToBootOn, host, kvm, firmware, askTrace };
}

/** The probe costs time: it is asked only where its answer decides something. */
async function askForKvm({ accelerator, fallback }: AcceleratorWish, probe: () => Promise<KvmProbe>): Promise<PreparedBoot["kvm"]> {
  if (accelerator === "auto" && !fallback) return await probe();
  return { state: "unknown", because: "nobody asked the probe" };
}

function uefiOf({ chosen, because, hint }: FirmwareSearch): HostToBootOn["uefi"] {
  if (chosen === undefined) return { missing: because, hint };
  const { mapping, requiresSmm, secureBoot, enrolledKeys } = chosen;
  return { files: { mapping, requiresSmm, secureBoot: secureBoot && enrolledKeys, because } };
}

/** What the machine plan needs of all that was found in an image. */
export function imageToBootOf(image: ImageFacts, path: string, blockDevice: boolean): ImageToBoot {
  const { format, backing } = image.diskFiles ?? { format: "raw", backing: [] };
  return {
    path,
    blockDevice,
    format,
    backing,
    sizeBytes: BigInt(image.sizeBytes),
    optical: image.kind === "iso9660",
    ways: image.boots,
    damage: damageOf(image),
  };
}

/** A file system that ends behind the end of its image was cut: what is missing will be missed, sooner or later. */
function damageOf({ iso, sizeBytes }: ImageFacts): string | undefined {
  if (iso === null || BigInt(iso.volumeSizeBytes) <= BigInt(sizeBytes)) return undefined;
  const missing = BigInt(iso.volumeSizeBytes) - BigInt(sizeBytes);
  return `its ISO 9660 volume has ${iso.volumeSizeBytes} bytes and the file only ${sizeBytes}: the last ${missing} are missing`;
}
