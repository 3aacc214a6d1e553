import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { isNtfs, openNtfs } from "../../src/disk/ntfs.ts";
import { decodeIndexNode, decodeNtfsBoot, decodeNtfsRecord, isFault, mendedRecord } from "../../src/formats/ntfs.ts";
import { memorySource } from "../../src/image/block-source.ts";

const program = (name: string) => ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map((folder) => join(folder, name)).find(existsSync);
const [mkntfs, ntfscp, ntfs3g] = ["mkntfs", "ntfscp", "ntfs-3g"].map(program);

const folder = mkdtempSync(join(tmpdir(), "hiperiso-ntfs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "volume.img");
const big = randomBytes(3_000_000);

function makeVolume(...options: readonly string[]): Uint8Array {
  writeFileSync(path, "");
  truncateSync(path, 24 << 20);
  execFileSync(mkntfs!, ["-F", "-Q", "-L", "Größe x", ...options, path], { stdio: "ignore" });
  const copyIn = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, "file"), bytes);
    execFileSync(ntfscp!, ["-q", path, join(folder, "file"), name], { stdio: "ignore" });
  };
  copyIn("/small.txt", Buffer.from("hello\n"));
  copyIn("/B ü.bin", big);
  copyIn("/empty", new Uint8Array());
  return readFileSync(path);
}

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

async function namesIn(bytes: Uint8Array, folderPath: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of (await openNtfs(memorySource(bytes))).list(folderPath)) names.push(name);
  return names;
}

describe.skipIf(mkntfs === undefined || ntfscp === undefined)("a volume of mkntfs", () => {
  let image: Uint8Array;
  beforeAll(() => {
    image = makeVolume();
  });

  test("is recognised, with its label and its free space", async () => {
    const source = memorySource(image);
    expect(await isNtfs(source)).toBe(true);
    const volume = await openNtfs(source);
    expect(volume).toMatchObject({ label: "Größe x", format: "ntfs", dirty: false });
    const { totalBytes, freeBytes, clusterBytes } = await volume.space();
    expect([clusterBytes, totalBytes]).toEqual([4096, BigInt((24 << 20) - 4096)]);
    const said = spawnSync(program("ntfsinfo")!, ["-m", path], { encoding: "utf8" }).stdout;
    expect(Number(freeBytes / 4096n)).toBe(Number(/Free Clusters: (\d+)/.exec(said)?.[1]));
  });

  test("lists its files without those that make it up", async () => {
    expect((await namesIn(image, "/")).sort()).toEqual(["B ü.bin", "empty", "small.txt"]);
  });

  test("gives files whole and in part, whatever the case of the name", async () => {
    const volume = await openNtfs(memorySource(image));
    expect((await bytesOf(volume.read("/SMALL.TXT"))).toString()).toBe("hello\n");
    expect((await bytesOf(volume.read("/b Ü.BIN"))).equals(big)).toBe(true);
    const part = await bytesOf(volume.read("/B ü.bin", { offset: 1_234_567n, lengthBytes: 100_000n }));
    expect(part.equals(big.subarray(1_234_567, 1_334_567))).toBe(true);
    expect(await bytesOf(volume.read("/empty"))).toHaveLength(0);
    expect(await volume.stat("/B ü.bin")).toMatchObject({ kind: "file", sizeBytes: 3_000_000n });
    let offset = 0;
    for await (const extent of volume.extents("/B ü.bin")) {
      const at = Number(extent.offset);
      expect(Buffer.from(image.subarray(at, at + Number(extent.bytes))).equals(big.subarray(offset, offset + Number(extent.bytes)))).toBe(
        true,
      );
      offset += Number(extent.bytes);
    }
    expect(offset).toBe(big.length);
  });

  test("is never written", async () => {
    const volume = await openNtfs(memorySource(image));
    const attempts = [
      volume.write("/x", [], { sizeBytes: 0n, modifiedMs: 0 }, quietJob),
      volume.remove("/small.txt"),
      volume.rename("/small.txt", "/y"),
      volume.makeDirectory("/d", 0),
      volume.setLabel("x"),
    ];
    for (const attempt of attempts) await expect(attempt).rejects.toThrow("does not write NTFS");
    expect(volume.readOnlyBecause).toBe("hiperiso does not write NTFS");
  });

  test("says what is not there", async () => {
    const volume = await openNtfs(memorySource(image));
    expect(await volume.stat("/none/x")).toBeUndefined();
    await expect(bytesOf(volume.read("/none"))).rejects.toThrow("nothing of that name");
    await expect(bytesOf(volume.read("/"))).rejects.toThrow("found a folder");
    await expect(namesIn(image, "/small.txt")).rejects.toThrow("expected a folder");
  });

  test("survives any damage: an error that says where, or an answer", async () => {
    // Boot sector, file table (the first 64 records) and what lies around them.
    const boot = decodeNtfsBoot(image.subarray(0, 512));
    if (isFault(boot)) throw new Error("the boot sector is whole");
    const table = Number(boot.mftCluster) * boot.clusterBytes;
    const place = fc.oneof(fc.nat({ max: 511 }), fc.integer({ min: table, max: table + 64 * 1024 }));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(place, fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }), async (changes) => {
        const damaged = Uint8Array.from(image.subarray(0, image.length));
        for (const [at, value] of changes) damaged[at] = value;
        try {
          const volume = await openNtfs(memorySource(damaged));
          await volume.space();
          for await (const { name } of volume.list("/")) await volume.stat(`/${name}`);
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("truncated at any place, likewise", async () => {
    for (let length = 0; length < image.length; length += Math.max(1, Math.floor(length / 3))) {
      await openNtfs(memorySource(image.subarray(0, length)))
        .then(
          (volume) => volume.space(),
          (error: unknown) => expect(error).toBeInstanceOf(HiperisoError),
        )
        .catch((error: unknown) => expect(error).toBeInstanceOf(HiperisoError));
    }
  });

  test("with clusters of 64 KiB and of 512 bytes", async () => {
    for (const clusterBytes of ["65536", "512"]) {
      const volume = await openNtfs(memorySource(makeVolume("-c", clusterBytes)));
      expect((await volume.space()).clusterBytes).toBe(Number(clusterBytes));
      expect((await bytesOf(volume.read("/B ü.bin"))).equals(big)).toBe(true);
    }
  });

  test("with a folder of hundreds of names, holes, and files in pieces, as ntfs-3g writes them", async ({ skip }) => {
    writeFileSync(path, makeVolume());
    const mount = join(folder, "mount");
    mkdirSync(mount, { recursive: true });
    if (ntfs3g === undefined || spawnSync(ntfs3g, [path, mount], { stdio: "ignore" }).status !== 0) skip("ntfs-3g cannot mount here");
    try {
      mkdirSync(join(mount, "dir/deeper"), { recursive: true });
      for (let number = 0; number < 400; number += 1)
        writeFileSync(join(mount, `dir/a longer name of file number ${number}.txt`), `${number}`);
      for (let number = 0; number < 400; number += 2) rmSync(join(mount, `dir/a longer name of file number ${number}.txt`));
      execFileSync("dd", ["if=/dev/urandom", `of=${join(mount, "holes")}`, "bs=4096", "count=1", "seek=500"], { stdio: "ignore" });
      writeFileSync(join(mount, "dir/deeper/x"), "deep");
    } finally {
      execFileSync("umount", [mount]);
    }
    const bytes = readFileSync(path);
    const expected = Array.from({ length: 200 }, (_, index) => `a longer name of file number ${2 * index + 1}.txt`);
    expect((await namesIn(bytes, "/dir")).sort()).toEqual([...expected, "deeper"].sort());
    const volume = await openNtfs(memorySource(bytes));
    expect((await bytesOf(volume.read("/DIR/deeper/X"))).toString()).toBe("deep");
    const holes = await bytesOf(volume.read("/holes"));
    expect(holes).toHaveLength(501 * 4096);
    expect(holes.subarray(0, 500 * 4096).every((byte) => byte === 0)).toBe(true);
    expect(holes.subarray(500 * 4096).some((byte) => byte !== 0)).toBe(true);
  });
});

test("decoders take any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2048 }), (bytes) => {
      decodeNtfsBoot(bytes);
      decodeIndexNode(bytes);
      const record = new Uint8Array(1024);
      record.set(bytes.subarray(0, 1024));
      decodeNtfsRecord(record);
      record.set(Buffer.from("FILE"), 0);
      const mended = mendedRecord(record, "FILE");
      if (!isFault(mended)) decodeNtfsRecord(mended);
    }),
  );
});
