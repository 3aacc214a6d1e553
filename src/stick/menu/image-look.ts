/** What the menu has to know of an image: whether the recorder will boot it, and how it is started without. */
import { HiperisoError } from "../../contract/error.ts";
import type { BlockSource } from "../../image/block-source.ts";
import { STANDARD_RULES } from "../../image/disk-format.ts";
import type { ImageFacts } from "../../image/image-facts.ts";
import type { BootMenus } from "../../image/menus/boot-entry.ts";
import { openBootMenus } from "../../image/menus/open-menus.ts";
import { readBootMenus } from "../../image/menus/read-menus.ts";
import { openImageFacts, probeImage } from "../../image/probe.ts";
import { type DirectBoot, planDirectBoot } from "./direct-boot.ts";

export interface ImageLook {
  /** Why the recorder will not boot it, one clause; undefined where it can. */
  readonly refusal: string | undefined;
  readonly direct: DirectBoot;
}

/** An image that is a file of this computer. */
export async function lookAtFile(path: string, signal: AbortSignal): Promise<ImageLook> {
  return await looked(signal, async () => {
    const facts = await openImageFacts(path, signal);
    return { facts, menus: facts.kind === "iso9660" ? await openBootMenus(path, facts, STANDARD_RULES, signal) : NO_MENUS };
  });
}

/** An image that lies in a volume. A disk that is not raw is not looked into: what it leans on is reached by the recorder alone. */
export async function lookAtSource(source: BlockSource, signal: AbortSignal): Promise<ImageLook> {
  return await looked(signal, async () => {
    const facts = await probeImage(source, signal);
    return { facts, menus: facts.kind === "iso9660" ? await readBootMenus(source, facts, signal) : NO_MENUS };
  });
}

const NO_MENUS: BootMenus = { entries: [], standard: null, notes: [] };

async function looked(
  signal: AbortSignal,
  look: () => Promise<{ readonly facts: ImageFacts; readonly menus: BootMenus }>,
): Promise<ImageLook> {
  try {
    const { facts, menus } = await look();
    return { refusal: refusalOf(facts), direct: planDirectBoot(facts, menus) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof HiperisoError)) throw error;
    const because = error.found ?? error.message;
    return { refusal: because, direct: { can: false, because } };
  }
}

/** Formats of disks: what is in them, the recorder finds out. */
const DISKS = new Set(["qcow2", "vmdk", "vdi", "vhdx", "vhd"]);

function refusalOf({ boots, kind, because, container }: ImageFacts): string | undefined {
  if (container !== null && DISKS.has(container)) return undefined;
  const answers = [boots.uefi.cd, boots.uefi.usb, boots.bios.cd, boots.bios.usb];
  if (answers.some(({ can }) => can)) return undefined;
  if (container !== null) return `it is packed (${container}): unpack it first`;
  if (kind === "unknown") return `nothing in it starts a computer: ${because}`;
  return `nothing in it starts a computer: ${boots.uefi[kind === "iso9660" ? "cd" : "usb"].because}`;
}
