import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodeQcow2Header, type EmptyQcow2, encodeEmptyQcow2, QCOW2_BYTES_MAX } from "../../src/formats/qcow2.ts";

const root = mkdtempSync(join(tmpdir(), "hiperiso-qcow2-"));
afterAll(() => rmSync(root, { recursive: true }));

const headOf = ({ pieces }: EmptyQcow2): Uint8Array => pieces[0]!.bytes;
const decode = (head: Uint8Array) => decodeQcow2Header(head, "x.qcow2");

function write(name: string, { fileBytes, pieces }: EmptyQcow2): string {
  const path = join(root, name);
  const file = openSync(path, "w");
  ftruncateSync(file, fileBytes);
  for (const { offset, bytes } of pieces) writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
  return path;
}

test("what is encoded is decoded, with the disk below it", () => {
  fc.assert(
    fc.property(
      fc.bigInt(1n, QCOW2_BYTES_MAX / 512n),
      fc.option(fc.string({ minLength: 1, maxLength: 200 }), { nil: undefined }),
      (sectors, text) => {
        const backing = text === undefined ? undefined : { name: `/${text.replaceAll("\0", "")}`, format: "raw" };
        expect(decode(headOf(encodeEmptyQcow2(sectors * 512n, backing)))).toMatchObject({
          version: 3,
          sizeBytes: sectors * 512n,
          backing,
          encrypted: false,
          externalData: false,
          extendedL2: false,
          compression: "deflate",
        });
      },
    ),
  );
});

test.each([0n, 511n, -512n, QCOW2_BYTES_MAX + 512n])("no disk has %d bytes", (size) => {
  expect(() => encodeEmptyQcow2(size)).toThrow(HiperisoError);
});

test("a name that is too long for the header is refused", () => {
  expect(() => encodeEmptyQcow2(512n, { name: `/${"x".repeat(1023)}`, format: "raw" })).toThrow(/1024/);
});

describe("qemu-img", () => {
  const qemuImg = (...words: readonly string[]) => execFileSync("qemu-img", words, { encoding: "utf8" });

  test.each([512n, 1n << 20n, 3n << 30n, 1n << 40n, QCOW2_BYTES_MAX])("finds nothing wrong with a new disk of %d bytes", (size) => {
    const path = write("new.qcow2", encodeEmptyQcow2(size));
    expect(qemuImg("check", path)).toContain("No errors");
    expect(JSON.parse(qemuImg("info", "--output=json", path))).toMatchObject({ format: "qcow2", "virtual-size": Number(size) });
  });

  test("reads our overlay above the disk that it names", () => {
    writeFileSync(join(root, "base.img"), "bottom".repeat(1000));
    const path = write("over.qcow2", encodeEmptyQcow2(8192n, { name: join(root, "base.img"), format: "raw" }));
    expect(qemuImg("check", path)).toContain("No errors");
    execFileSync("qemu-img", ["convert", "-O", "raw", path, join(root, "out.img")]);
    expect(readFileSync(join(root, "out.img"), "latin1")).toBe("bottom".repeat(1000).padEnd(8192, "\0"));
  });

  test.each([
    ["2", []],
    ["3", ["-o", "cluster_size=512"]],
    ["3", ["-o", "cluster_size=2M,extended_l2=on"]],
    ["3", ["-o", "compression_type=zstd"]],
    ["3", ["-o", "encrypt.format=luks,encrypt.key-secret=s", "--object", "secret,id=s,data=secret"]],
  ])("makes images of version %s that we read %j", (version, options) => {
    const path = join(root, "made.qcow2");
    const compat = version === "2" ? ["-o", "compat=0.10"] : [];
    qemuImg("create", "-q", "-f", "qcow2", ...compat, ...options, path, "20M");
    const text = options.join(" ");
    expect(decode(readFileSync(path))).toMatchObject({
      version: Number(version),
      sizeBytes: 20n << 20n,
      extendedL2: text.includes("extended"),
      compression: text.includes("zstd") ? "zstd" : "deflate",
      encrypted: text.includes("encrypt"),
    });
  });
});

describe("a damaged header", () => {
  const good = headOf(encodeEmptyQcow2(1n << 30n, { name: "/vm/base.img", format: "raw" }));

  test("cut at any byte is refused, or is the same still", () => {
    const whole = decode(good);
    for (let length = 0; length <= 300; length += 1) {
      try {
        expect(decode(good.subarray(0, length))).toEqual(whole);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect(error).toMatchObject({ kind: "usage", where: expect.stringMatching(/^x\.qcow2@\d+$/) });
      }
    }
    expect(() => decode(good.subarray(0, 103))).toThrow(HiperisoError);
  });

  test("with any bytes changed it gives a header within its bounds, or a refusal", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 4, max: 200 }), fc.integer({ min: 0, max: 255 })), { maxLength: 8 }), (changes) => {
        const bytes = good.slice();
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const { clusterBits, sizeBytes, l1Entries } = decode(bytes);
          expect(clusterBits).toBeGreaterThanOrEqual(9);
          expect(clusterBits).toBeLessThanOrEqual(21);
          expect(l1Entries).toBeLessThanOrEqual(4 << 20);
          expect(sizeBytes).toBeLessThan(1n << 63n);
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("that claims petabytes is refused where QEMU would refuse it", () => {
    const bytes = good.slice();
    new DataView(bytes.buffer).setBigUint64(24, 1n << 60n);
    expect(() => decode(bytes)).toThrow(/L1 entries for 1152921504606846976 bytes/);
    new DataView(bytes.buffer).setUint32(36, 0x8000_0000);
    expect(() => decode(bytes)).toThrow(/as much as QEMU opens/);
  });
});
