import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { recogniseArchive, recogniseContainer, recogniseFileSystem, VOLUME_HEAD_BYTES } from "../../src/formats/signature.ts";
import { survivesDamage } from "./damage.ts";

const SBIN = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
const bytes = (signature: string, at = 0, length = 4096): Uint8Array => {
  const made = new Uint8Array(length);
  made.set(Buffer.from(signature, "latin1"), at);
  return made;
};

/** Is this tool here? Which file systems can be made differs from one computer to the next; ext4 can be on all that run the tests. */
const has = (tool: string): boolean => {
  try {
    execFileSync("sh", ["-c", `command -v ${tool}`], { env: SBIN, stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

test.each([
  [
    "mkfs.ext4",
    ["-q", "-L", "LABELLED", "-U", "12345678-1234-1234-1234-123456789abc"],
    { fileSystem: "ext4", label: "LABELLED", uuid: "12345678-1234-1234-1234-123456789abc", volumeBytes: 8n << 20n },
  ],
  ["mkfs.ext2", ["-q"], { fileSystem: "ext2", label: "", volumeBytes: 8n << 20n }],
  ["mkfs.ext3", ["-q"], { fileSystem: "ext3" }],
  ["mkfs.exfat", [], { fileSystem: "exfat", volumeBytes: 8n << 20n }],
  ["mkswap", ["-L", "LABELLED"], { fileSystem: "swap", label: "LABELLED" }],
])("%s makes what is recognised", (tool, options, expected) => {
  if (!has(tool)) return expect(tool).not.toBe("mkfs.ext4");
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-fs-"));
  try {
    const image = join(folder, "volume.img");
    writeFileSync(image, "");
    truncateSync(image, 8 << 20);
    execFileSync(tool, [...options, image], { env: SBIN, stdio: "ignore" });
    expect(recogniseFileSystem(readFileSync(image).subarray(0, VOLUME_HEAD_BYTES))).toMatchObject(expected);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  ["squashfs", "hsqs", 0],
  ["xfs", "XFSB", 0],
  ["ntfs", "NTFS    ", 3],
  ["btrfs", "_BHRfS_M", 0x1_0040],
  ["luks", "LUKS\xba\xbe", 0],
  ["hfs+", "H+", 1024],
  ["lbpayld1", "LBPAYLD1", 0],
])("%s by its signature, whole or damaged", (fileSystem, signature, at) => {
  expect(recogniseFileSystem(bytes(signature, at, VOLUME_HEAD_BYTES))?.fileSystem).toBe(fileSystem);
  // Not behind 64 KiB of nothing, bit by bit.
  if (at < 4096) survivesDamage(bytes(signature, at, at + 200), recogniseFileSystem);
});

test("containers by their start or their end, archives by their start", () => {
  const nothing = new Uint8Array(512);
  expect(recogniseContainer(bytes("KDMV"), nothing)).toBe("vmdk");
  expect(recogniseContainer(bytes("\x7f\x10\xda\xbe", 64), nothing)).toBe("vdi");
  expect(recogniseContainer(bytes("ustar", 257), nothing)).toBe("tar");
  expect(recogniseContainer(nothing, bytes("koly", 0, 512))).toBe("dmg");
  expect(recogniseContainer(bytes("BZh91AY"), nothing)).toBe("bzip2");
  // Too little to go by for a whole disk.
  expect(recogniseContainer(bytes("\x5d\0\0"), nothing)).toBeUndefined();
  expect(recogniseContainer(new Uint8Array(), new Uint8Array())).toBeUndefined();
  expect(recogniseArchive(bytes("\x5d\0\0"))).toBe("lzma");
  expect(recogniseArchive(bytes("070701"))).toBe("cpio");
  expect(recogniseArchive(bytes("\x28\xb5\x2f\xfd"))).toBe("zstd");
  expect(recogniseArchive(new Uint8Array())).toBeUndefined();
});
