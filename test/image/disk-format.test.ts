/** Disk images of every format, made by qemu-img, and what a hostile one could lead to. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { encodeEmptyQcow2 } from "../../src/formats/qcow2.ts";
import { type DiskFileRules, readDiskFiles, STANDARD_RULES } from "../../src/image/disk-format.ts";
import { openDisk } from "../../src/image/disk-source.ts";
import { openImageFacts } from "../../src/image/probe.ts";

const root = mkdtempSync(join(tmpdir(), "hiperiso-disks-"));
afterAll(() => rmSync(root, { recursive: true }));
const at = (...names: readonly string[]): string => join(root, ...names);
const { signal } = new AbortController();

const SIZE = 12 * 1024 * 1024;
/** Pieces of data between holes, one of them at the very end. */
const content = Buffer.alloc(SIZE);
const qemuImg = (...words: readonly string[]) => execFileSync("qemu-img", words, { cwd: root });

/** An empty qcow2 above whatever is named, which qemu-img would look at first. */
function above(file: string, name: string, format: string): void {
  const { fileBytes, pieces } = encodeEmptyQcow2(1n << 20n, { name, format });
  const bytes = Buffer.alloc(fileBytes);
  for (const piece of pieces) bytes.set(piece.bytes, piece.offset);
  writeFileSync(at(file), bytes);
}

async function refusal(path: string, rules: DiskFileRules = STANDARD_RULES): Promise<HiperisoError> {
  const error = await readDiskFiles(path, rules).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(HiperisoError);
  return error as HiperisoError;
}

beforeAll(() => {
  for (const [offset, seed] of [
    [0, 7],
    [70_000, 11],
    [5 * 1024 * 1024 - 3000, 13],
    [SIZE - 40_000, 17],
  ] as const) {
    for (let index = 0; index < 40_000; index += 1) content[offset + index] = (index * seed + (index >> 8)) & 0xff;
  }
  writeFileSync(at("raw.img"), content);
});

async function contentOf(path: string): Promise<Buffer> {
  await using disk = await openDisk(path, STANDARD_RULES, signal);
  if ("obstacle" in disk.content) throw new Error(disk.content.obstacle);
  const { source } = disk.content;
  return Buffer.from(await source.read(0n, Number(source.sizeBytes)));
}

describe("what qemu-img writes is read as the same disk", () => {
  test.each<[string, string, readonly string[]]>([
    ["qcow2", "qcow2", []],
    ["qcow2", "qcow2", ["-o", "compat=0.10"]],
    ["qcow2", "qcow2", ["-o", "cluster_size=512"]],
    ["qcow2", "qcow2", ["-o", "cluster_size=2M"]],
    ["qcow2", "qcow2", ["-c"]],
    ["vdi", "vdi", []],
    ["vdi", "vdi", ["-o", "static=on"]],
    ["vhd", "vpc", ["-o", "force_size=on"]],
    ["vhdx", "vhdx", []],
    ["vhdx", "vhdx", ["-o", "block_size=1M"]],
    ["vmdk", "vmdk", []],
    ["vmdk", "vmdk", ["-o", "compat6"]],
  ])("%s (%s %j)", async (format, name, options) => {
    const path = at(`one.${format}`);
    qemuImg("convert", "-f", "raw", "-O", name, ...options, "raw.img", path);
    expect(await readDiskFiles(path)).toEqual({ path, blockDevice: false, format, backing: [] });
    expect((await contentOf(path)).equals(content)).toBe(true);
  });

  test.each([
    ["a qcow2 with zstd", "qcow2", ["-c", "-o", "compression_type=zstd"], /zstd/],
    ["a qcow2 with extended L2 entries", "qcow2", ["-o", "extended_l2=on,cluster_size=128k"], /extended/],
    ["a VMDK made as a stream", "vmdk", ["-o", "subformat=streamOptimized"], /stream/],
    ["a VMDK in two files", "vmdk", ["-o", "subformat=monolithicFlat"], /several files/],
  ])("%s is for QEMU alone", async (_, format, options, because) => {
    const path = at(`only.${format}`);
    qemuImg("convert", "-f", "raw", "-O", format, ...options, "raw.img", path);
    await using disk = await openDisk(path, STANDARD_RULES, signal);
    expect(disk.content).toMatchObject({ obstacle: expect.stringMatching(because) });
    const facts = await openImageFacts(path, signal);
    expect(facts).toMatchObject({ kind: "container", container: format, boots: { bios: { usb: { can: false } } } });
    expect(facts.boots.bios.usb.because).toMatch(because);
  });

  test("a fixed VHD is a raw disk with a sector more", async () => {
    qemuImg("convert", "-f", "raw", "-O", "vpc", "-o", "subformat=fixed,force_size=on", "raw.img", at("fixed.vhd"));
    expect((await readDiskFiles(at("fixed.vhd"))).format).toBe("raw");
  });
});

describe("a chain of backing files", () => {
  test("is read through, nearest first", async () => {
    mkdirSync(at("base"), { recursive: true });
    writeFileSync(at("base", "bottom.img"), content.subarray(0, 8 * 1024 * 1024));
    qemuImg("create", "-q", "-f", "qcow2", "-b", "base/bottom.img", "-F", "raw", "middle.qcow2", "10M");
    qemuImg("create", "-q", "-f", "qcow2", "-b", at("middle.qcow2"), "-F", "qcow2", "top.qcow2", String(SIZE));
    expect(await readDiskFiles(at("top.qcow2"))).toEqual({
      path: at("top.qcow2"),
      blockDevice: false,
      format: "qcow2",
      backing: [
        { path: at("middle.qcow2"), blockDevice: false, format: "qcow2" },
        { path: at("base", "bottom.img"), blockDevice: false, format: "raw" },
      ],
    });
    const expected = Buffer.alloc(SIZE);
    content.copy(expected, 0, 0, 8 * 1024 * 1024);
    expect((await contentOf(at("top.qcow2"))).equals(expected)).toBe(true);
    expect((await openImageFacts(at("top.qcow2"), signal)).diskFiles?.backing).toHaveLength(2);
  });

  test("that misses a file names both", async () => {
    above("orphan.qcow2", "gone.img", "raw");
    expect(await refusal(at("orphan.qcow2"))).toMatchObject({
      kind: "usage",
      where: at("orphan.qcow2"),
      expected: "its backing file",
      found: `no such file: ${at("gone.img")}`,
    });
  });

  test.each([
    ["itself", ["self.qcow2"]],
    ["a circle of three", ["one.qcow2", "two.qcow2", "three.qcow2"]],
  ])("that leads to %s ends with a refusal", async (_, names) => {
    for (const [index, name] of names.entries()) {
      above(name, names[(index + 1) % names.length]!, "qcow2");
    }
    expect(await refusal(at(names[0]!))).toMatchObject({ kind: "usage", found: `${at(names[0]!)} for the second time` });
  });

  test("that leads to itself through a link does too", async () => {
    symlinkSync(at("linked.qcow2"), at("link"));
    above("linked.qcow2", "link", "qcow2");
    expect((await refusal(at("linked.qcow2"))).found).toContain("for the second time");
  });

  test("longer than anybody makes one is refused", async () => {
    for (let index = 0; index < 70; index += 1) {
      above(`deep${index}.qcow2`, index === 0 ? "raw.img" : `deep${index - 1}.qcow2`, index === 0 ? "raw" : "qcow2");
    }
    expect((await refusal(at("deep69.qcow2"))).expected).toBe("a chain of at most 64 files");
    expect((await readDiskFiles(at("deep60.qcow2"))).backing).toHaveLength(61);
  });

  test.each(["../outside.img", "/etc/hostname", "base/../../outside.img", "gate"])(
    "does not leave the image's folder: %s",
    async (name) => {
      mkdirSync(at("inside", "base"), { recursive: true });
      writeFileSync(at("outside.img"), "secret");
      rmSync(at("inside", "gate"), { force: true });
      symlinkSync(at("outside.img"), at("inside", "gate"));
      above("inside/a.qcow2", name, "raw");
      expect(await refusal(at("inside", "a.qcow2"))).toMatchObject({ kind: "usage", hint: expect.stringContaining("--backing-anywhere") });
      expect((await readDiskFiles(at("inside", "a.qcow2"), { ...STANDARD_RULES, backingAnywhere: true })).backing).toHaveLength(1);
    },
  );

  test.each([
    ["nbd://example.org/disk", "raw"],
    ['json:{"driver":"nbd","host":"example.org"}', "raw"],
    ["fat:rw:/etc", "raw"],
    ["raw.img", "nbd"],
  ])("takes no other kind of source: %s %s", async (name, format) => {
    above("patched.qcow2", name, format);
    expect(await refusal(at("patched.qcow2"))).toMatchObject({ kind: "usage", hint: expect.stringContaining("qemu-img convert") });
  });

  test("a format that was said counts, also against the first bytes", async () => {
    expect(await readDiskFiles(at("orphan.qcow2"), { ...STANDARD_RULES, format: "raw" })).toMatchObject({ format: "raw", backing: [] });
    expect((await refusal(at("raw.img"), { ...STANDARD_RULES, format: "qcow2" })).kind).toBe("usage");
  });
});

describe("a VMDK that names other files", () => {
  const text = (...extents: readonly string[]) =>
    `# Disk DescriptorFile\nversion=1\ncreateType="twoGbMaxExtentFlat"\n${extents.join("\n")}\n`;

  test.each(["/etc/hostname", "../outside.img", "nbd://example.org/x"])("outside its folder is refused: %s", async (name) => {
    mkdirSync(at("vmdk"), { recursive: true });
    writeFileSync(at("vmdk", "a.vmdk"), text(`RW 2 FLAT "${name}" 0`));
    expect((await refusal(at("vmdk", "a.vmdk"))).kind).toBe("usage");
  });

  test("that are not there is refused", async () => {
    writeFileSync(at("vmdk", "a.vmdk"), text('RW 2 FLAT "gone.vmdk" 0'));
    expect((await refusal(at("vmdk", "a.vmdk"))).found).toContain("gone.vmdk");
  });

  test("or a parent, or is an envelope of such a text, is refused", async () => {
    qemuImg("create", "-q", "-f", "vmdk", "parent.vmdk", "1M");
    qemuImg("create", "-q", "-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", "child.vmdk");
    expect((await refusal(at("child.vmdk"))).found).toBe("one that leans on another file");
    const envelope = readFileSync(at("parent.vmdk"));
    envelope.fill(0, 12, 20);
    writeFileSync(at("envelope.vmdk"), envelope);
    expect((await refusal(at("envelope.vmdk"))).found).toBe("0 sectors");
  });
});

describe("damage", () => {
  test("a disk that claims petabytes is opened, and nothing of that size is made", async () => {
    qemuImg("create", "-q", "-f", "qcow2", "huge.qcow2", "2000T");
    const facts = await openImageFacts(at("huge.qcow2"), signal);
    expect(facts).toMatchObject({ sizeBytes: 2000 * 2 ** 40, kind: "unknown", diskFiles: { format: "qcow2" } });
  });

  test.each(["qcow2", "vdi", "vhdx", "vpc", "vmdk"])(
    "a %s that is cut anywhere in its head is refused, or read as what is left",
    async (name) => {
      qemuImg("convert", "-f", "raw", "-O", name, "raw.img", "whole.disk");
      const whole = readFileSync(at("whole.disk"));
      await fc.assert(
        fc.asyncProperty(fc.oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 400_000 })), async (length) => {
          writeFileSync(at("cut.disk"), whole.subarray(0, length));
          try {
            await openImageFacts(at("cut.disk"), signal);
          } catch (error) {
            expect(error).toBeInstanceOf(HiperisoError);
          }
        }),
        { numRuns: 60 },
      );
    },
  );

  test.each(["qcow2", "vdi", "vhdx", "vpc", "vmdk"])("a %s with changed bytes is refused, or read within bounds", async (name) => {
    qemuImg("convert", "-f", "raw", "-O", name, "raw.img", "whole.disk");
    truncateSync(at("whole.disk"), 400_000);
    const whole = readFileSync(at("whole.disk"));
    const place = fc.oneof(
      fc.integer({ min: 8, max: 520 }),
      fc.integer({ min: 65_536, max: 70_000 }),
      fc.integer({ min: 196_608, max: 200_000 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(place, fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = Buffer.from(whole);
        for (const [offset, value] of changes) bytes[offset] = value;
        writeFileSync(at("changed.disk"), bytes);
        try {
          const facts = await openImageFacts(at("changed.disk"), signal);
          expect(BigInt(facts.sizeBytes)).toBeGreaterThan(0n);
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
        }
      }),
      { numRuns: 60 },
    );
  });
});
