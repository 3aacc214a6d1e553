/** What is wrong with the boot regions of an exFAT volume, main and backup, and with the flags of the main one. */
import { viewOf } from "../../formats/bytes.ts";
import {
  bootChecksums,
  EXFAT_FLAG,
  EXFAT_FLAGS_AT,
  EXFAT_PERCENT_AT,
  EXFAT_REGION_SECTORS,
  withBootChecksum,
} from "../../formats/exfat-boot.ts";
import type { BlockStore } from "../block-store.ts";
import type { Finding } from "./findings.ts";
import type { Inquiry } from "./inquiry.ts";
import { Medium } from "./medium.ts";
import { type BootRegion, readBootRegions } from "./open.ts";

/** The boot regions' own problems, and the medium that the better of them describes. Throws where neither describes one. */
export async function inspectBoot(store: BlockStore): Promise<{ readonly medium: Medium; readonly findings: readonly Finding[] }> {
  const { main, backup } = await readBootRegions(store);
  const sound = main.fault === undefined ? main : backup !== undefined && backup.fault === undefined ? backup : main;
  if (sound.boot === undefined) throw main.fault ?? new Error("a boot region without fields and without fault");
  const medium = new Medium(store, sound.boot);
  const findings: Finding[] = [];
  const region = EXFAT_REGION_SECTORS * medium.sectorBytes;
  const write = (offset: bigint, bytes: Uint8Array) => async () => await medium.write(offset, bytes);
  if (main.fault !== undefined) {
    const text = `${main.fault.found === undefined ? main.fault.message : `the main boot region: expected ${main.fault.expected}, found ${main.fault.found}`}`;
    // With neither sum right, fields that are in their ranges are all there is to go by.
    const bytes = sound === backup ? mainFrom(backup.bytes) : withBootChecksum(main.bytes.slice());
    const mending = sound === backup ? "the backup is written over it" : "its sum is written anew";
    findings.push({
      problem: { id: "main-boot-region", offset: offsetIn(main), path: undefined, text, mending },
      stage: "entry",
      mend: write(0n, bytes),
    });
  } else if (backup?.fault !== undefined || backup === undefined || differs(main.bytes, backup.bytes)) {
    const fault = backup?.fault;
    const text =
      fault === undefined
        ? "the backup boot region differs from the main one"
        : `the backup boot region: expected ${fault.expected}, found ${fault.found}`;
    const problem = { id: "backup-boot-region", offset: BigInt(region), path: undefined, text, mending: "the main one is written over it" };
    findings.push({ problem, stage: "entry", mend: write(BigInt(region), cleanCopy(main.bytes)) });
  }
  if (main.fault === undefined) {
    const signatures = [1, 2, 3, 4, 5, 6, 7, 8].filter(
      (sector) => viewOf(main.bytes).getUint32((sector + 1) * medium.sectorBytes - 4, true) !== 0xaa55_0000,
    );
    if (signatures.length > 0) {
      const bytes = main.bytes.slice();
      for (const sector of signatures) viewOf(bytes).setUint32((sector + 1) * medium.sectorBytes - 4, 0xaa55_0000, true);
      const offset = BigInt((signatures[0]! + 1) * medium.sectorBytes - 4);
      const text = `extended boot sector ${signatures[0]} does not end in 00 00 55 AA`;
      findings.push({
        problem: { id: "boot-signature", offset, path: undefined, text, mending: "the signature is written" },
        stage: "entry",
        mend: write(0n, withBootChecksum(bytes)),
      });
    }
  }
  return { medium, findings };
}

const offsetIn = (region: BootRegion): bigint => {
  const at = /@(\d+)$/.exec(region.fault?.where ?? "");
  return at === null ? region.offset : BigInt(at[1]!);
};

/** Flags and percentage of the backup are stale (3.1): the volume is dirty until the walk is through. */
function mainFrom(backup: Uint8Array): Uint8Array {
  const bytes = backup.slice();
  viewOf(bytes).setUint16(EXFAT_FLAGS_AT, EXFAT_FLAG.dirty, true);
  bytes[EXFAT_PERCENT_AT] = 0xff;
  return bytes;
}

function cleanCopy(main: Uint8Array): Uint8Array {
  const bytes = main.slice();
  const view = viewOf(bytes);
  view.setUint16(EXFAT_FLAGS_AT, view.getUint16(EXFAT_FLAGS_AT, true) & ~EXFAT_FLAG.dirty, true);
  return bytes;
}

const STALE: ReadonlySet<number> = new Set([EXFAT_FLAGS_AT, EXFAT_FLAGS_AT + 1, EXFAT_PERCENT_AT]);
const differs = (main: Uint8Array, backup: Uint8Array): boolean =>
  bootChecksums(main).actual !== bootChecksums(backup).actual || main.some((byte, at) => byte !== backup[at] && !STALE.has(at));

/** What the main boot sector says of the volume's state, against what the walk saw. */
export async function inspectFlags({ medium, bitmap, findings }: Inquiry): Promise<void> {
  const sector = await medium.read(0n, medium.sectorBytes);
  const flags = viewOf(sector).getUint16(EXFAT_FLAGS_AT, true);
  const percent = sector[EXFAT_PERCENT_AT]!;
  const actual = await bitmap.percentInUse();
  if ((flags & EXFAT_FLAG.mediaFailure) !== 0) {
    findings.add("media-failure", {
      offset: BigInt(EXFAT_FLAGS_AT),
      text: "the volume says that its medium failed: copy what matters off it",
    });
  }
  if ((flags & EXFAT_FLAG.dirty) !== 0) {
    const offset = BigInt(EXFAT_FLAGS_AT);
    findings.add(
      "dirty",
      { offset, text: "the volume was not closed properly", mending: "the flag is cleared" },
      async (mending) => {
        const now = await mending.medium.read(offset, 2);
        now[0] = now[0]! & ~EXFAT_FLAG.dirty;
        await mending.medium.write(offset, now);
      },
      "flag",
    );
  }
  if (percent !== actual && percent !== 0xff) {
    const text = `${percent} percent in use by the boot sector, ${actual} by the bitmap`;
    const offset = BigInt(EXFAT_PERCENT_AT);
    findings.add(
      "percent-in-use",
      { offset, text, mending: "it is written anew" },
      (mending) => mending.medium.write(offset, Uint8Array.of(actual)),
      "flag",
    );
  }
}
