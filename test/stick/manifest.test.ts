import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { type StickManifest, stickManifestSchema } from "../../src/contract/stick.ts";
import { decodeManifest, encodeManifest } from "../../src/stick/manifest.ts";
import { hasTool } from "../disk/disk-images.ts";

const GUID = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
const manifest: StickManifest = {
  version: 1,
  hiperiso_version: "0.8.0",
  written_utc: "2026-11-21T09:00:00Z",
  disk_guid: GUID,
  data: { guid: GUID, offset_bytes: 1 << 20, size_bytes: 1 << 30 },
  esp: { guid: GUID, offset_bytes: (1 << 30) + (1 << 20), size_bytes: 64 << 20, serial: "0012ABCD" },
  files: [{ path: "/EFI/BOOT/BOOTX64.EFI", size_bytes: 3, sha256: "a".repeat(64), generated: false }],
};

describe("the stick's manifest", () => {
  test("comes back out of its archive, and is what its schema says", () => {
    expect(decodeManifest(encodeManifest(manifest), "x")).toEqual(manifest);
    expect(stickManifestSchema.parse(manifest)).toEqual(manifest);
    expect(Buffer.from(encodeManifest(manifest)).equals(encodeManifest(manifest))).toBe(true);
  });

  test.skipIf(!hasTool("cpio"))("is an archive to cpio", () => {
    const listed = execFileSync("cpio", ["-t", "--quiet"], { input: encodeManifest(manifest), encoding: "utf8" });
    expect(listed).toBe("hiperiso-stick.json\n");
  });

  test("cut at any byte is an error that says where, or whole", () => {
    const bytes = encodeManifest(manifest);
    for (let end = 0; end < bytes.length; end += 1) {
      try {
        expect(decodeManifest(bytes.subarray(0, end), "x")).toEqual(manifest);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
      }
    }
    expect(() => decodeManifest(bytes.subarray(0, 100), "x")).toThrow(/x@0/);
  });

  test("with a bit turned, or of other bytes, is read by the schema or refused", () => {
    const bytes = encodeManifest(manifest);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const damaged = bytes.slice();
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        try {
          stickManifestSchema.parse(decodeManifest(damaged, "x"));
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
        }
      }),
    );
  });
});
