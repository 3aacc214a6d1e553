import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { type BlockSource, memorySource } from "../../src/image/block-source.ts";
import type { ImageFacts } from "../../src/image/image-facts.ts";
import { probeImage } from "../../src/image/probe.ts";
import { buildEfiProgram, buildFat12, buildHybrid, buildIso, ESP_TYPE, mendGptHeader, padded, putGpt, text } from "./build-image.ts";

const probe = (bytes: Uint8Array): Promise<ImageFacts> => probeImage(memorySource(bytes), new AbortController().signal);
const whatIsWrong = (facts: ImageFacts) => facts.problems.map(({ offset, structure }) => `${structure} @${offset}`);

describe("a hybrid image", () => {
  test("is described whole", async () => {
    const { bytes, espOffset } = buildHybrid();
    const facts = await probe(bytes);
    expect(facts.problems).toEqual([]);
    expect(facts.kind).toBe("iso9660");
    expect(facts.iso).toMatchObject({
      volumeId: "HYBRID",
      publisher: "PUBLISHER",
      rockRidge: true,
      joliet: { level: 3 },
      uuid: "2024-01-02-03-04-05-06",
    });
    expect(facts.iso?.elTorito).toMatchObject([
      {
        platform: "bios",
        bootable: true,
        emulation: "none",
        loadSegment: 0x7c0,
        loadSectors: 4,
        content: "code",
        bootLoader: "ISOLINUX 6.04",
        path: "/isolinux/isolinux.bin",
      },
      { platform: "uefi", bootable: true, loadSectors: 720, offset: espOffset, sizeBytes: 720 * 512, content: "volume", path: "/efi.img" },
    ]);
    expect(facts.gpt).toMatchObject({ table: "primary", backupIntact: true, partitions: [{ typeName: "EFI system", name: "EFI system" }] });
    expect(facts.mbr?.protective).toBe(true);
    expect(facts.volumes.map(({ fileSystem, label, seenAs }) => ({ fileSystem, label, seenAs }))).toEqual([
      { fileSystem: "iso9660", label: "HYBRID", seenAs: ["the whole image"] },
      { fileSystem: "fat12", label: "TESTFAT", seenAs: ["El Torito entry 2", "GPT partition 1"] },
    ]);
  });

  test("shows the files that a boot is made of", async () => {
    const facts = await probe(buildHybrid().bytes);
    expect(facts.efiBootFiles).toMatchObject([{ path: "/EFI/BOOT/BOOTX64.EFI", pe: { machine: "x86-64", subsystem: 10, signed: false } }]);
    expect(facts.kernels).toMatchObject([
      { path: "/live/vmlinuz-6.1", format: "bzImage", version: "6.1.0-test (builder) #1 SMP", bootProtocol: "2.15", machine: "x86-64" },
    ]);
    expect(facts.initrds).toMatchObject([{ path: "/live/initrd.img", format: "cpio" }]);
    expect(facts.bootConfigs.map(({ path, loader }) => [path, loader])).toEqual([
      ["/isolinux/isolinux.cfg", "syslinux"],
      ["/boot/grub/grub.cfg", "grub"],
    ]);
  });

  test("boots in all four ways", async () => {
    const { boots } = await probe(buildHybrid().bytes);
    expect([boots.bios.cd, boots.bios.usb, boots.uefi.cd, boots.uefi.usb].map(({ can }) => can)).toEqual([true, true, true, true]);
    expect(boots.bios.usb.because).toContain("ISOLINUX (isohybrid)");
    expect(boots.uefi.cd.because).toContain("/EFI/BOOT/BOOTX64.EFI in El Torito entry 2");
    expect(boots.uefi.usb.because).toContain("GPT partition 1");
  });

  test("is the same whatever it is called", async () => {
    const { bytes } = buildHybrid();
    const named = await probeImage(memorySource(bytes, "holiday.jpg"), new AbortController().signal);
    expect({ ...named, name: "" }).toEqual({ ...(await probe(bytes)), name: "" });
  });

  test("cut short anywhere still says what is left, and that it was cut", async () => {
    const { bytes } = buildHybrid();
    const lengths = Array.from({ length: Math.ceil(bytes.length / 512) }, (_, index) => index * 512 + (index % 3) * 7);
    for (const length of lengths.filter((length) => length < bytes.length)) {
      const facts = await probe(bytes.subarray(0, length));
      // The primary volume descriptor is whole: the image must still be known, with what it lacks.
      if (length >= 17 * 2048) {
        expect(facts.kind).toBe("iso9660");
        expect(facts.problems).not.toEqual([]);
      }
    }
  });
});

describe("lies are named with their offset", () => {
  test("a volume larger than the image", async () => {
    const { bytes } = buildIso({ tree: { a: text("x") } });
    new DataView(bytes.buffer).setUint32(32768 + 80, 1000, true);
    new DataView(bytes.buffer).setUint32(32768 + 84, 1000, false);
    const facts = await probe(bytes);
    expect(facts.problems).toMatchObject([
      { offset: 32768 + 80, structure: "primary volume descriptor", expected: "an image of at least 2048000 bytes" },
    ]);
  });

  test("both-endian numbers that differ", async () => {
    const { bytes } = buildIso({ tree: { a: text("x") } });
    bytes[32768 + 87] = 99;
    expect(whatIsWrong(await probe(bytes))).toEqual(["ISO 9660 volume space size @32848"]);
  });

  test("an El Torito catalogue outside the image", async () => {
    const { bytes } = buildIso({ tree: {}, boot: [{ platformId: 0, image: text("code") }] });
    new DataView(bytes.buffer).setUint32(17 * 2048 + 71, 9999, true);
    const facts = await probe(bytes);
    expect(facts.problems).toMatchObject([
      { offset: 17 * 2048 + 71, structure: "El Torito boot record", found: "LBA 9999, byte 20477952" },
    ]);
    expect(facts.boots.bios.cd).toEqual({ can: false, because: "no El Torito boot catalogue" });
  });

  test("a boot image outside the image, and one of zeros", async () => {
    const { bytes, catalogOffset } = buildIso({
      tree: {},
      boot: [
        { platformId: 0, image: text("code") },
        { platformId: 0xef, image: new Uint8Array(2048) },
      ],
    });
    new DataView(bytes.buffer).setUint32(catalogOffset + 32 + 8, 77_777, true);
    const facts = await probe(bytes);
    expect(facts.problems).toMatchObject([
      { offset: catalogOffset + 40, structure: "El Torito entry 1", found: "LBA 77777, byte 159287296" },
    ]);
    expect(facts.boots.bios.cd).toEqual({ can: false, because: "El Torito entry 1 points outside the image, to byte 159287296" });
    expect(facts.boots.uefi.cd.because).toMatch(/^El Torito entry 2 points at zeros, at byte \d+$/);
  });

  test("a wrong checksum of the validation entry", async () => {
    const { bytes, catalogOffset } = buildIso({ tree: {}, boot: [{ platformId: 0, image: text("code") }] });
    bytes[catalogOffset + 5] = 1;
    const facts = await probe(bytes);
    expect(whatIsWrong(facts)).toEqual([`El Torito validation entry @${catalogOffset + 28}`]);
    expect(facts.boots.bios.cd.can).toBe(true);
    expect(facts.boots.uefi.cd).toEqual({
      can: false,
      because: "the El Torito boot catalogue has a wrong checksum, which UEFI does not forgive",
    });
  });

  test("a directory record that reaches past its sector, and a name past its record", async () => {
    // 33 records of 60 bytes behind "." and ".." fill the sector to its last byte.
    const names = Array.from({ length: 33 }, (_, index) => `FILE_${String(index).padStart(2, "0")}_${"X".repeat(16)}`);
    const { bytes, rootOffset } = buildIso({ tree: Object.fromEntries(names.map((name) => [name, text(name)])) });
    const last = rootOffset + 2048 - 60;
    expect((await probe(bytes)).volumes[0]?.entriesWalked).toBe(33);
    bytes[last] = 62;
    const long = await probe(bytes);
    expect(long.problems).toEqual([{ offset: last, structure: "directory record", expected: "a length of 34 to 60", found: "62" }]);
    expect(long.volumes[0]?.entriesWalked).toBe(32);
    bytes[last] = 60;
    bytes[last + 32] = 28;
    const name = await probe(bytes);
    expect(name.problems).toEqual([{ offset: last + 32, structure: "directory record", expected: "a name of 1 to 27 bytes", found: "28" }]);
  });

  test("a file that goes on in no other record is cut there", async () => {
    const { bytes, rootOffset } = buildIso({ tree: { "grub.cfg": text("x"), "z.txt": text("y") } });
    bytes[rootOffset + 68 + 25] = 128;
    const facts = await probe(bytes);
    expect(facts.problems).toMatchObject([{ offset: rootOffset + 68, expected: "another extent of the same file", found: "another name" }]);
    expect(facts.bootConfigs).toMatchObject([{ path: "/GRUB.CFG", sizeBytes: 1 }]);
    bytes[rootOffset + 68 + 25] = 0;
    bytes[rootOffset + 68 + 44 + 25] = 128;
    expect((await probe(bytes)).problems).toMatchObject([{ offset: rootOffset + 112, found: "the end of the directory" }]);
  });

  test("a directory that holds itself", async () => {
    const { bytes, rootOffset } = buildIso({ tree: { loop: {} } });
    new DataView(bytes.buffer).setUint32(rootOffset + 68 + 2, rootOffset / 2048, true);
    new DataView(bytes.buffer).setUint32(rootOffset + 68 + 6, rootOffset / 2048, false);
    const facts = await probe(bytes);
    expect(facts.problems).toEqual([
      {
        offset: rootOffset + 68,
        structure: "directory record",
        expected: "a directory of its own",
        found: "the directory / again, as /LOOP",
      },
    ]);
  });

  test("a GPT header with a wrong checksum: the backup is used", async () => {
    const { bytes } = buildHybrid();
    bytes[512 + 40] = 99;
    const facts = await probe(bytes);
    expect(facts.gpt).toMatchObject({ table: "backup", backupIntact: true, partitions: [{ number: 1 }] });
    expect(whatIsWrong(facts)).toEqual(["GPT header @528"]);
    expect(facts.boots.uefi.usb).toEqual({ can: true, because: "/EFI/BOOT/BOOTX64.EFI in backup GPT partition 1 (fat12)" });
  });

  test("a missing backup GPT", async () => {
    const { bytes } = buildHybrid();
    const facts = await probe(bytes.subarray(0, bytes.length - 512));
    expect(facts.gpt).toMatchObject({ table: "primary", backupIntact: false });
    expect(whatIsWrong(facts)).toEqual(["GPT header @544"]);
  });

  test("GPT entries that were changed", async () => {
    const { bytes } = buildHybrid();
    bytes[1024 + 60] = 0x41;
    expect(whatIsWrong(await probe(bytes))).toEqual(["GPT partition entries @1024"]);
  });

  test("partitions that overlap, leave the image, or end before they start", async () => {
    const disk = new Uint8Array(400 * 512);
    putGpt(disk, [
      { firstLba: 40, lastLba: 100 },
      { firstLba: 90, lastLba: 120 },
      { firstLba: 300, lastLba: 5000 },
      { firstLba: 50, lastLba: 49 },
    ]);
    const facts = await probe(disk);
    expect(facts.problems.map(({ offset, structure, expected }) => [offset, structure, expected])).toEqual([
      [1024 + 2 * 128 + 32, "GPT entry 3", "LBAs from 34 to 366"],
      [1024 + 2 * 128, "GPT partition 3", "a partition inside the image of 204800 bytes"],
      [1024 + 3 * 128 + 32, "GPT entry 4", "a last LBA not before the first"],
      [1024 + 128, "GPT partition 2", "no sector of GPT partition 1"],
    ]);
  });

  test("a protective MBR that protects nothing", async () => {
    const disk = new Uint8Array(400 * 512);
    putGpt(disk, []);
    disk.fill(0, 512, 1024);
    disk.fill(0, disk.length - 512);
    const facts = await probe(disk);
    expect(whatIsWrong(facts)).toEqual(["GPT header @512"]);
    expect(facts.gpt).toBeNull();
  });

  test("a GPT with a table too large to be one is refused before it is read", async () => {
    const disk = new Uint8Array(400 * 512);
    putGpt(disk, []);
    new DataView(disk.buffer).setUint32(512 + 80, 0xffff_ffff, true);
    mendGptHeader(disk, 1);
    expect(whatIsWrong(await probe(disk))).toEqual(["GPT header @592"]);
  });

  test("logical partitions that go in a circle", async () => {
    const disk = new Uint8Array(400 * 512);
    const view = new DataView(disk.buffer);
    const entry = (at: number, type: number, first: number, sectors: number) => {
      disk[at + 4] = type;
      view.setUint32(at + 8, first, true);
      view.setUint32(at + 12, sectors, true);
    };
    entry(446, 5, 100, 200);
    disk.set([0x55, 0xaa], 510);
    entry(100 * 512 + 446, 0x83, 1, 10);
    entry(100 * 512 + 462, 5, 0, 10);
    disk.set([0x55, 0xaa], 100 * 512 + 510);
    const facts = await probe(disk);
    expect(facts.mbr?.partitions.map(({ number, firstLba }) => [number, firstLba])).toEqual([
      [1, 100],
      [5, 101],
    ]);
    expect(facts.problems).toMatchObject([{ offset: 51200, structure: "extended boot record", found: "a circle" }]);
  });
});

describe("firmware reads a boot catalogue as it was seen to", () => {
  const esp = buildFat12({ EFI: { BOOT: { "BOOTX64.EFI": buildEfiProgram() } } });

  test("BIOS: the first entry alone", async () => {
    const boot = [
      { platformId: 0xef, image: esp },
      { platformId: 0, image: text("code") },
    ];
    const { boots } = await probe(buildIso({ tree: {}, boot }).bytes);
    expect(boots.bios.cd).toEqual({ can: false, because: "El Torito entry 2 is for BIOS, but a BIOS looks at the first one alone" });
    expect(boots.uefi.cd.can).toBe(true);
  });

  test("UEFI: on a disk too, and whatever the platform says", async () => {
    const { boots } = await probe(buildIso({ tree: {}, boot: [{ platformId: 0, image: esp }] }).bytes);
    const because = "/EFI/BOOT/BOOTX64.EFI in El Torito entry 1 (fat12), though not marked as UEFI's";
    expect(boots.uefi).toEqual({ cd: { can: true, because }, usb: { can: true, because } });
    expect(boots.bios.cd).toMatchObject({
      can: false,
      because: expect.stringContaining("holds a file system without boot code") as string,
    });
  });

  test("UEFI: a GPT hides the catalogue from a disk, not from a CD", async () => {
    const iso = buildIso({ tree: {}, boot: [{ platformId: 0xef, image: esp }] });
    const disk = padded(iso.bytes, iso.bytes.length + 64 * 512);
    const lba = iso.bytes.length / 512;
    putGpt(disk, [{ firstLba: lba, lastLba: lba + 7 }]);
    const { boots } = await probe(disk);
    expect(boots.uefi.cd.can).toBe(true);
    expect(boots.uefi.usb).toEqual({ can: false, because: "no partition with a FAT file system in the GPT" });
  });

  test("an entry marked as not bootable boots nothing", async () => {
    const boot = [
      { platformId: 0, image: text("code"), bootable: false },
      { platformId: 0xef, image: esp, bootable: false },
    ];
    const { boots } = await probe(buildIso({ tree: {}, boot }).bytes);
    expect(boots.bios.cd.because).toBe("El Torito entry 1 is marked as not bootable");
    expect(boots.uefi.cd.because).toBe("El Torito entry 2 is marked as not bootable");
  });
});

describe("what is not an ISO", () => {
  test("a FAT volume without a partition table boots under UEFI only", async () => {
    const facts = await probe(buildFat12({ EFI: { BOOT: { "BOOTX64.EFI": buildEfiProgram() } } }));
    expect(facts).toMatchObject({ kind: "disk", mbr: null, volumes: [{ name: "fat12@0", label: "TESTFAT", uuid: "1234-ABCD" }] });
    expect(facts.boots.uefi.usb).toEqual({ can: true, because: "/EFI/BOOT/BOOTX64.EFI in the whole image (fat12)" });
    expect(facts.boots.bios.usb.can).toBe(false);
    expect(facts.boots.uefi.cd.can).toBe(false);
  });

  test("an EFI program for another processor does not boot an x86-64 machine", async () => {
    const wrong = await probe(buildFat12({ EFI: { BOOT: { "BOOTX64.EFI": buildEfiProgram(0xaa64) } } }));
    expect(wrong.boots.uefi.usb).toEqual({ can: false, because: "/EFI/BOOT/BOOTX64.EFI in the whole image is for aarch64, not x86-64" });
    const other = await probe(buildFat12({ EFI: { BOOT: { "BOOTAA64.EFI": buildEfiProgram(0xaa64) } } }));
    expect(other.boots.uefi.usb.because).toBe("the whole image (fat12) holds no /EFI/BOOT/BOOTX64.EFI, only /EFI/BOOT/BOOTAA64.EFI");
  });

  test("a GPT disk with an ESP boots under UEFI, its empty MBR not under BIOS", async () => {
    const esp = buildFat12({ EFI: { BOOT: { "BOOTX64.EFI": buildEfiProgram(0x8664, true) } } });
    const disk = new Uint8Array(1024 * 512);
    disk.set(esp, 64 * 512);
    putGpt(disk, [{ firstLba: 64, lastLba: 64 + 719, typeGuid: ESP_TYPE }]);
    const facts = await probe(disk);
    expect(facts).toMatchObject({
      kind: "disk",
      because: "a GPT (primary header)",
      efiBootFiles: [{ volume: "fat12@32768", pe: { signed: true } }],
    });
    expect(facts.boots.uefi.usb.can).toBe(true);
    expect(facts.boots.bios.usb).toEqual({ can: false, because: "sector 0 holds no boot code, only zeros" });
  });

  test("boot code that looks for an active partition needs one", async () => {
    const disk = new Uint8Array(400 * 512);
    disk.set(text("\u0033\u0000Missing operating system"), 0);
    disk[450] = 0x83;
    new DataView(disk.buffer).setUint32(454, 100, true);
    new DataView(disk.buffer).setUint32(458, 100, true);
    disk.set([0x55, 0xaa], 510);
    expect((await probe(disk)).boots.bios.usb).toEqual({
      can: false,
      because: "the code in sector 0 looks for an active partition, and none is",
    });
    disk[446] = 0x80;
    expect((await probe(disk)).boots.bios.usb).toEqual({ can: true, because: "the code in sector 0 starts the active partition 1" });
  });

  test.each([
    ["qcow2", "QFI\xfb"],
    ["gzip", "\x1f\x8b\x08"],
    ["xz", "\xfd7zXZ\0"],
    ["vhdx", "vhdxfile"],
    ["zip", "PK\x03\x04"],
  ])("%s is no raw image", async (format, signature) => {
    const facts = await probe(padded(Buffer.from(signature, "latin1"), 65_536));
    expect(facts).toMatchObject({ kind: "container", container: format });
    expect(facts.boots.bios.cd).toEqual({ can: false, because: `the image is packed (${format}): firmware would see the wrapping` });
  });

  test.each([0, 1, 511, 512, 513, 2048, 32_768, 65_536])("%d zeros are nothing", async (length) => {
    const facts = await probe(new Uint8Array(length));
    expect(facts).toMatchObject({ kind: "unknown", problems: [], volumes: [] });
    expect(Object.values(facts.boots).flatMap((media) => Object.values(media).map(({ can }) => can))).toEqual([false, false, false, false]);
  });
});

test("UDF beside ISO 9660 is named", async () => {
  expect((await probe(buildIso({ tree: {}, udf: true }).bytes)).iso?.udf).toBe("NSR02");
  expect((await probe(buildIso({ tree: {} }).bytes)).iso?.udf).toBeNull();
});

test("a medium that fails is an error, not a problem of the image", async () => {
  const source = memorySource(buildHybrid().bytes);
  const failing: BlockSource = {
    ...source,
    read: async (offset, length) => {
      if (offset >= 32_768n) throw new HiperisoError({ what: "read the image", where: `disk@${offset}`, found: "EIO: i/o error" });
      return await source.read(offset, length);
    },
  };
  await expect(probeImage(failing, new AbortController().signal)).rejects.toThrow(HiperisoError);
});

test("an aborted probe stops", async () => {
  await expect(probeImage(memorySource(buildHybrid().bytes), AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
});
