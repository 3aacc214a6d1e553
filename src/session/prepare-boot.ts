/** From an image's path and a person's wishes to a machine plan: gathers the facts, lets the pure functions decide. */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Job } from "../contract/job.ts";
import type { Clock } from "../host/clock.ts";
import { type FirmwareSearch, findFirmware } from "../host/firmware.ts";
import { type HostFacts, hostFacts } from "../host/host-facts.ts";
import { type KvmProbe, probeKvm } from "../host/kvm.ts";
import { machineVersionOf, qemuFacts } from "../host/qemu-facts.ts";
import { findTool } from "../host/tools.ts";
import { type Environment, runtimeFolder, xdgFolders } from "../host/xdg.ts";
import type { ImageFacts } from "../image/image-facts.ts";
import { openImageFacts } from "../image/probe.ts";
import { type BootRequest, type HostToBootOn, type ImageToBoot, type MachinePlan, planMachine } from "../machine/plan.ts";

export const QEMU = "qemu-system-x86_64";
/** What starts QEMU: a session without them would end before it began. */
const STARTERS = ["setpriv", "mkfifo"];

export interface PreparedBoot {
  readonly plan: MachinePlan;
  /** The same machine under emulation. */
  readonly emulated: MachinePlan;
  readonly image: ImageFacts;
  readonly host: HostFacts;
  readonly kvm: Pick<KvmProbe, "state" | "because">;
  /** Descriptors of firmware that were seen and not taken, each with its reason. */
  readonly firmware: FirmwareSearch;
}

/** Throws (kind `usage`) on an image that cannot be read or booted and on settings that contradict it; nothing has been made then. */
export async function prepareBoot(
  imagePath: string,
  request: BootRequest,
  env: Environment,
  clock: Clock,
  job: Job,
): Promise<PreparedBoot> {
  const path = resolve(imagePath);
  const image = await openImageFacts(path, job.signal);
  const qemu = await findTool(QEMU, env);
  for (const tool of STARTERS) await findTool(tool, env);
  const folders = xdgFolders(env);
  const cacheDir = join(folders.cache, "hiperiso");
  const [facts, host] = await Promise.all([qemuFacts(qemu, { cacheDir, signal: job.signal }), hostFacts()]);
  const firmware = await findFirmware(
    {
      interface: "uefi",
      architecture: "x86_64",
      machine: machineVersionOf(facts.machines, "q35"),
      secureBoot: request.settings.secureBoot,
      formats: ["raw", "qcow2"],
    },
    env,
  );
  const kvm = await askForKvm(request, async () =>
    probeKvm({ qemu, cacheDir, runtimeDir: await runtimeFolder(env), signal: job.signal, clock }),
  );
  const hostToBootOn: HostToBootOn = {
    qemu,
    totalRamMb: host.total_ram_mb,
    availableRamMb: host.available_ram_mb,
    kvm,
    uefi: uefiOf(firmware),
  };
  const imageToBoot = imageToBootOf(image, path, (await stat(path)).isBlockDevice());
  return {
    plan: planMachine(request, imageToBoot, hostToBootOn),
    emulated: planMachine({ ...request, accelerator: "tcg" }, imageToBoot, hostToBootOn),
    image,
    host,
    kvm,
    firmware,
  };
}

/** The probe costs time: it is asked only where its answer decides something. */
async function askForKvm({ accelerator, settings }: BootRequest, probe: () => Promise<KvmProbe>): Promise<PreparedBoot["kvm"]> {
  if (accelerator === "auto" && !settings.fallback) return await probe();
  return { state: "unknown", because: "nobody asked the probe" };
}

function uefiOf({ chosen, because, hint }: FirmwareSearch): HostToBootOn["uefi"] {
  if (chosen === undefined) return { missing: because, hint };
  return { files: { mapping: chosen.mapping, requiresSmm: chosen.requiresSmm, because } };
}

/** What the machine plan needs of all that was found in an image. */
export function imageToBootOf(image: ImageFacts, path: string, blockDevice: boolean): ImageToBoot {
  return { path, blockDevice, optical: image.kind === "iso9660", ways: image.boots, damage: damageOf(image) };
}

/** A file system that ends behind the end of its image was cut: what is missing will be missed, sooner or later. */
function damageOf({ iso, sizeBytes }: ImageFacts): string | undefined {
  if (iso === null || BigInt(iso.volumeSizeBytes) <= BigInt(sizeBytes)) return undefined;
  const missing = BigInt(iso.volumeSizeBytes) - BigInt(sizeBytes);
  return `its ISO 9660 volume has ${iso.volumeSizeBytes} bytes and the file only ${sizeBytes}: the last ${missing} are missing`;
}
