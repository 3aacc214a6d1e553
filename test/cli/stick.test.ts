import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasTool, MIB, ran } from "../disk/disk-images.ts";
import { cat, disk } from "./disk-commands.ts";
import { isoBytes, put, runtimeFolder, stick } from "./stick-commands.ts";

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const EPOCH = { SOURCE_DATE_EPOCH: "1700000000" };

describe("a stick made in an image file", () => {
  let folder: string;
  let image: string;
  let runtime: string;
  const debian = isoBytes(3 * MIB, 1);
  const ubuntu = isoBytes(MIB + 777, 2, MIB);
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-stick-"));
    image = join(folder, "stick.img");
    runtime = runtimeFolder(join(folder, "runtime"));
    put(folder, { "isos/debian.iso": debian, "isos/sub folder/a $b 'c' ü.iso": ubuntu, "isos/readme.txt": "no image" });
    put(folder, { "isos/SHA256SUMS": `${sha256(debian)}  debian.iso\n` });
    const made = await stick(["create", image, "--size", "160M", "--iso", join(folder, "isos"), "--runtime", runtime, "--ids-from", "a"], {
      env: EPOCH,
    });
    expect(made).toMatchObject({ status: 0, stdout: expect.stringMatching(/\/ISOs\/debian\.iso {2}3\.0 MiB.*as .*SHA256SUMS says/) });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("has the contract's partitions, labels and paths", async () => {
    const { stdout } = await disk("show", image, "--json");
    const shown = JSON.parse(stdout);
    expect(shown.table.partitions.map((one: { number: number; sizeBytes: number }) => [one.number, one.sizeBytes])[1]).toEqual([
      2,
      64 * MIB,
    ]);
    expect((await disk("ls", "-R", `${image}:1`)).stdout.split("\n")).toEqual(
      expect.arrayContaining(["ISOs/debian.iso", "ISOs/sub folder/a $b 'c' ü.iso", "hiperiso/hiperiso.json", "hiperiso/images.json"]),
    );
    expect((await disk("ls", "-R", `${image}:2`)).stdout.split("\n")).toEqual(
      expect.arrayContaining(["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grub.cfg", "EFI/hiperiso/vmlinuz", "ventoy/ventoy.cpio"]),
    );
    expect((await cat(`${image}:1/ISOs/debian.iso`)).bytes.equals(debian)).toBe(true);
    expect(await disk("check", image)).toMatchObject({ status: 0 });
  });

  test.skipIf(!hasTool("sgdisk"))("is whole to sgdisk, fsck.exfat and fsck.fat", () => {
    const said = ran("sgdisk", "-v", image);
    expect(said).toMatch(/No problems found/);
    expect(said).not.toMatch(/Caution|Invalid/);
  });

  test("is whole to verify, and lists its images", async () => {
    expect(await stick(["verify", image])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/All is well: 2 images, 7 files that boot/),
    });
    const { stdout } = await stick(["list", image, "--json"]);
    expect(JSON.parse(stdout).images).toEqual([
      { path: "/ISOs/debian.iso", sizeBytes: 3 * MIB, state: "added", sha256: sha256(debian) },
      { path: "/ISOs/sub folder/a $b 'c' ü.iso", sizeBytes: MIB + 777, state: "added", sha256: sha256(ubuntu) },
    ]);
  });

  test("is sparse, and the same bytes from another run", async () => {
    expect(statSync(image).blocks * 512).toBeLessThan(8 * MIB);
    const again = join(folder, "again.img");
    const words = ["create", again, "--size", "160M", "--iso", join(folder, "isos"), "--runtime", runtime, "--ids-from", "a"];
    expect(await stick(words, { env: EPOCH })).toMatchObject({ status: 0 });
    expect(sha256(readFileSync(again))).toBe(sha256(readFileSync(image)));
  });
});
