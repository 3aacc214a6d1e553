import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { viewOf } from "../../src/formats/bytes.ts";
import { decodeFirmwareImage, flashSizesMatch } from "../../src/formats/firmware-volume.ts";
import { encodeGuid } from "../../src/formats/gpt.ts";
import {
  ENROLLED,
  GLOBAL,
  joined,
  madeCode,
  madeCodeOf,
  madeModules,
  madeSection,
  madeVariables,
  madeVolume,
  SECURITY,
  SIZES,
  withChecksum,
} from "./firmware-images.ts";

describe("code", () => {
  test.each([
    { architecture: "x86_64", smm: false, secureBoot: false },
    { architecture: "x86_64", smm: true, secureBoot: true },
    { architecture: "i386", smm: false, secureBoot: true },
    { architecture: "aarch64", smm: false, secureBoot: false },
  ] as const)("its modules say %o", (made) => {
    expect(decodeFirmwareImage(madeCode(made), { modules: true })).toEqual({
      kind: "code",
      sizeBytes: BigInt(SIZES.code4m),
      code: { offset: 0, modules: made },
    });
  });

  test("nothing is unpacked unless asked for", () => {
    expect(decodeFirmwareImage(madeCode({ smm: true }))).toMatchObject({ kind: "code", code: { modules: undefined } });
  });

  test("packed with LZMA, as real ones are", () => {
    const { stdout } = spawnSync("xz", ["--format=lzma", "-c"], { input: madeModules({ smm: true }) });
    const lzma = new Uint8Array(stdout);
    viewOf(lzma).setBigUint64(5, BigInt(madeModules({ smm: true }).length), true);
    const code = madeCodeOf(guided("EE4E5898-3914-4259-9D6E-DC7BD79403CF", lzma), 65_536);
    expect(decodeFirmwareImage(code, { modules: true })).toMatchObject({
      code: { modules: { architecture: "x86_64", smm: true, secureBoot: false } },
    });
  });

  test("packed in an unknown way: it is code, and what its modules are stays unknown", () => {
    const code = madeCodeOf(guided("A31280AD-481E-41B6-95E8-127F4C984779", madeModules({})), 65_536);
    expect(decodeFirmwareImage(code, { modules: true })).toMatchObject({ kind: "code", code: { modules: undefined } });
  });

  test("volumes in volumes without end, and sections that unpack to too much, are given up", () => {
    let sections = madeModules({});
    for (let depth = 0; depth < 12; depth++) sections = madeSection(0x17, madeCodeOf(sections, 8192 + 256 * (depth + 1)));
    expect(decodeFirmwareImage(madeCodeOf(sections, 65_536), { modules: true })).toMatchObject({ code: { modules: undefined } });
    const lzma = new Uint8Array(64);
    lzma[0] = 0x5d;
    viewOf(lzma).setBigUint64(5, 2n ** 40n, true);
    const huge = madeCodeOf(guided("EE4E5898-3914-4259-9D6E-DC7BD79403CF", lzma), 65_536);
    expect(decodeFirmwareImage(huge, { modules: true })).toMatchObject({ code: { modules: undefined } });
  });
});

/** GUID-defined section: the GUID, where its data begins, attributes, data. */
function guided(guid: string, data: Uint8Array): Uint8Array {
  const head = new Uint8Array(20);
  head.set(encodeGuid(guid));
  viewOf(head).setUint16(16, 24, true);
  viewOf(head).setUint16(18, 1, true);
  return madeSection(0x02, joined(head, data));
}

describe("variables", () => {
  test("an empty store", () => {
    expect(decodeFirmwareImage(madeVariables())).toEqual({
      kind: "variables",
      sizeBytes: BigInt(SIZES.variables4m),
      variables: {
        volumeBytes: SIZES.variables4m,
        variables: [],
        platformKey: false,
        keyExchangeKeys: false,
        signatures: false,
        microsoft: false,
      },
    });
  });

  test.each([true, false])("enrolled keys; authenticated: %s", (authenticated) => {
    const store = decodeFirmwareImage(madeVariables(ENROLLED, { authenticated }));
    expect(store).toMatchObject({
      kind: "variables",
      variables: { platformKey: true, keyExchangeKeys: true, signatures: true, microsoft: false },
    });
    if (store.kind !== "variables") throw new Error("no store");
    expect(store.variables.variables.map(({ name, valueBytes }) => [name, valueBytes])).toEqual([
      ["SecureBootEnable", 1],
      ["db", 40],
      ["KEK", 40],
      ["PK", 40],
    ]);
  });

  test.each([
    ["deleted", { name: "PK", vendor: GLOBAL, value: new Uint8Array(8), state: 0x3d }, false],
    ["never finished", { name: "PK", vendor: GLOBAL, value: new Uint8Array(8), state: 0x7f }, false],
    ["about to be replaced", { name: "PK", vendor: GLOBAL, value: new Uint8Array(8), state: 0x3e }, true],
    ["empty", { name: "PK", vendor: GLOBAL, value: new Uint8Array(0) }, false],
    ["of another vendor", { name: "PK", vendor: SECURITY, value: new Uint8Array(8) }, false],
  ])("a platform key that is %s", (_, variable, platformKey) => {
    expect(decodeFirmwareImage(madeVariables([variable]))).toMatchObject({ variables: { platformKey } });
  });

  test("any list of variables is read as it was written", () => {
    const variable = fc.record({
      name: fc.stringMatching(/^[A-Za-z0-9 ]{0,20}$/),
      vendor: fc.constantFrom(GLOBAL, SECURITY),
      value: fc.uint8Array({ maxLength: 70 }),
    });
    fc.assert(
      fc.property(fc.array(variable, { maxLength: 20 }), fc.boolean(), (variables, authenticated) => {
        const found = decodeFirmwareImage(madeVariables(variables, { sizeBytes: 131_072, authenticated }));
        expect(found.kind === "variables" && found.variables.variables).toEqual(
          variables.map(({ name, vendor, value }) => ({ name, vendor, valueBytes: value.length })),
        );
      }),
    );
  });

  test("a flash file that is padded, as some machines want it", () => {
    const bytes = joined(madeVariables([], { sizeBytes: 131_072 }), new Uint8Array(131_072));
    expect(decodeFirmwareImage(bytes)).toMatchObject({ kind: "variables", sizeBytes: 262_144n, variables: { volumeBytes: 131_072 } });
  });
});

test("both in one file", () => {
  const bytes = joined(madeVariables(ENROLLED, { sizeBytes: 131_072 }), madeCode({ smm: true, sizeBytes: 65_536 }));
  expect(decodeFirmwareImage(bytes, { modules: true })).toMatchObject({
    kind: "combined",
    code: { offset: 131_072, modules: { smm: true } },
    variables: { platformKey: true },
  });
});

describe("no firmware", () => {
  const changed = (change: (view: DataView) => void) => {
    const bytes = madeVariables();
    change(viewOf(bytes));
    return bytes;
  };
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /0 bytes, too few/],
    ["a text", new Uint8Array(Buffer.from("text ".repeat(100))), /does not begin with a firmware volume/],
    ["a header's damage", changed((view) => view.setUint8(20, 1)), /header of its volume is damaged: its checksum is off by/],
    [
      "a length beyond the file",
      madeVolume("8C8CE578-8A3D-4F1C-9935-896185C32DD3", 8192, new Uint8Array(0)).subarray(0, 4096),
      /it is cut: .* 8192/,
    ],
    ["an odd header", withChecksum(changed((view) => view.setUint16(48, 71, true))), /a header of 71 bytes/],
    ["a length that its block map denies", withChecksum(changed((view) => view.setUint32(56, 1, true))), /in its block map/],
    ["a length of zero", withChecksum(changed((view) => view.setBigUint64(32, 0n, true))), /claims 0 bytes/],
    ["an unknown volume", madeVolume(GLOBAL, 4096, new Uint8Array(0)), /unknown kind 8BE4DF61/],
    ["an unknown store", changed((view) => view.setUint8(72, 0)), /variable store is of the unknown kind/],
    ["a store that is not formatted", changed((view) => view.setUint8(92, 0)), /not formatted/],
    ["a store longer than its volume", changed((view) => view.setUint32(88, 2 ** 30, true)), /store claims 1073741824 bytes/],
  ])("%s", (_, bytes, because) => {
    const found = decodeFirmwareImage(bytes, { modules: true });
    expect(found.kind === "none" && found.because).toMatch(because);
  });

  test("cut at any byte of what is read", () => {
    const store = madeVariables(ENROLLED, { sizeBytes: 4096 });
    const code = madeCode({ sizeBytes: 8192, smm: true });
    for (const bytes of [store, code]) {
      for (let length = 0; length < bytes.length; length++) {
        expect(decodeFirmwareImage(bytes.subarray(0, length), { modules: true }).kind).toBe("none");
        // The head of a file whose size is known is enough to say what it is, once its headers are there.
        const { kind } = decodeFirmwareImage(bytes.subarray(0, length), { modules: true, sizeBytes: BigInt(bytes.length) });
        expect(["none", bytes === store ? "variables" : "code"]).toContain(kind);
      }
    }
  });

  test("flipped bits and foreign bytes never throw", () => {
    const whole = [madeVariables(ENROLLED, { sizeBytes: 4096 }), madeCode({ sizeBytes: 8192, smm: true })];
    fc.assert(
      fc.property(fc.constantFrom(...whole), fc.array(fc.nat(4096 * 8 - 1), { minLength: 1, maxLength: 8 }), (image, flips) => {
        const bytes = new Uint8Array(image);
        for (const flip of flips) bytes[flip >> 3]! ^= 1 << (flip & 7);
        expect(["code", "variables", "combined", "none"]).toContain(decodeFirmwareImage(bytes, { modules: true }).kind);
      }),
      { numRuns: 1000 },
    );
  });
});

test("halves of one build make a power of two; those of different builds never do", () => {
  const { code4m, variables4m, code2m, variables2m } = SIZES;
  const match = (code: number, variables: number) => flashSizesMatch(BigInt(code), BigInt(variables));
  expect([match(code4m, variables4m), match(code2m, variables2m), match(2 ** 26, 2 ** 26)]).toEqual([true, true, true]);
  expect([match(code4m, variables2m), match(code2m, variables4m), match(0, 0), match(code4m, 0)]).toEqual([false, false, false, false]);
});

describe("Debian's own files, where they are installed", () => {
  const read = (name: string) => decodeFirmwareImage(new Uint8Array(readFileSync(`/usr/share/OVMF/${name}`)), { modules: true });
  const missing = !existsSync("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd");
  test.skipIf(missing)("code with SMM and without", () => {
    expect(read("OVMF_CODE_4M.fd")).toMatchObject({ kind: "code", code: { modules: { architecture: "x86_64", smm: false } } });
    expect(read("OVMF_CODE_4M.secboot.fd")).toMatchObject({
      kind: "code",
      code: { modules: { architecture: "x86_64", smm: true, secureBoot: true } },
    });
  });
  test.skipIf(missing)("variables with keys and without", () => {
    expect(read("OVMF_VARS_4M.fd")).toMatchObject({ kind: "variables", variables: { platformKey: false, variables: [] } });
    const keys = { platformKey: true, keyExchangeKeys: true, signatures: true };
    expect(read("OVMF_VARS_4M.ms.fd")).toMatchObject({ variables: { ...keys, microsoft: true } });
    expect(read("OVMF_VARS_4M.snakeoil.fd")).toMatchObject({ variables: { platformKey: true, microsoft: false } });
  });
});
