import { describe, expect, test } from "vitest";
import { checkOptions, formOf, hasPayload, MODES, type RawOptions } from "../../src/bootstrap/options.ts";
import { HiperisoError } from "../../src/contract/error.ts";

const mirrors = ["http://mirror"];

function refusal(raw: RawOptions): string {
  try {
    checkOptions(raw);
  } catch (error) {
    if (error instanceof HiperisoError && error.kind === "usage") return error.where ?? "";
    throw error;
  }
  throw new Error("not refused");
}

describe("options", () => {
  test("have the original's defaults", () => {
    expect(checkOptions({ qemu: true, mirrors })).toEqual({
      mode: "qemu",
      arch: "x86",
      archDir: "x86",
      target: "target",
      tmpfs: false,
      tmpfsSize: "8G",
      cores: 2,
      forceTimestamps: false,
      updateChecksums: false,
      externalSources: false,
      buildKernels: false,
      buildGuixAlso: false,
      createConfig: true,
      interactive: false,
      configurator: false,
      mirrors,
      swapMib: 0,
      qemuCmd: "qemu-system-x86_64",
      qemuRamMib: 4096,
      targetSizeMib: 16_384,
    });
  });

  test("name the folder of an architecture as stage0-posix does", () => {
    expect(checkOptions({ chroot: true, arch: "amd64", mirrors }).archDir).toBe("AMD64");
    expect(checkOptions({ chroot: true, arch: "riscv64", mirrors }).archDir).toBe("riscv64");
  });

  test.each([
    ["4", 4],
    ["4m", 4],
    ["4M", 4],
    ["4g", 4096],
    ["4G", 4096],
    // The original takes several letters away and looks at the last one.
    ["4MG", 4096],
    ["4GM", 4],
  ])("a size of %s is %d MiB", (size, mebibytes) => {
    const { targetSizeMib, swapMib } = checkOptions({ qemu: true, targetSize: size, swap: size, mirrors });
    expect([targetSizeMib, swapMib]).toEqual([mebibytes, mebibytes]);
  });

  test("sizes that a mode does not use are not even looked at", () => {
    expect(checkOptions({ chroot: true, swap: "x", targetSize: "y", qemuRam: "z", mirrors })).toMatchObject({
      swapMib: 0,
      targetSizeMib: 0,
    });
    expect(checkOptions({ bareMetal: true, swap: "1G", targetSize: "y", mirrors })).toMatchObject({ swapMib: 1024, targetSizeMib: 0 });
  });

  test("an empty text is none", () => {
    const options = checkOptions({ qemu: true, mirrors, repo: "", kernel: "", earlyPreseed: "", internalCi: "" });
    expect(Object.keys(options)).not.toEqual(expect.arrayContaining(["repo"]));
    expect([options.repo, options.kernel, options.earlyPreseed, options.internalCi]).toEqual([undefined, undefined, undefined, undefined]);
  });

  test.each<[string, RawOptions, string]>([
    ["no mode", { mirrors }, "the mode"],
    ["two modes", { mirrors, qemu: true, chroot: true }, "the mode"],
    ["bwrap on a tmpfs", { mirrors, bwrap: true, tmpfs: true }, "--tmpfs"],
    ["no core", { mirrors, qemu: true, cores: "0" }, "--cores"],
    ["cores that are no number", { mirrors, chroot: true, cores: "two" }, "--cores"],
    ["no disk", { mirrors, qemu: true, targetSize: "0" }, "--target-size"],
    ["a disk of unknown size", { mirrors, qemu: true, targetSize: "16T" }, "--target-size"],
    ["a swap of unknown size", { mirrors, bareMetal: true, swap: "much" }, "--swap"],
    ["no mirror", { qemu: true }, "--mirrors"],
    ["a folder that is not absolute", { qemu: true, mirrors: ["http://a", "file://srv"] }, "--mirrors"],
    ["a mirror that a shell would run", { qemu: true, mirrors: ["http://a/$(id)"] }, "--mirrors"],
    ["a mirror with a blank", { qemu: true, mirrors: ["http://a http://b"] }, "--mirrors"],
    ["an architecture that is a path", { qemu: true, mirrors, arch: "../x86" }, "--arch"],
    ["a pass that a shell would run", { qemu: true, mirrors, internalCi: "a;b" }, "--internal-ci"],
    ["a place for an import without a payload", { qemu: true, mirrors, importAfter: "jump: linux" }, "--import-after"],
  ])("with %s are refused", (_, raw, where) => {
    expect(refusal(raw)).toBe(where);
  });

  test("the payload is for kernel bootstrap with external sources and without a repo", () => {
    const raws = MODES.flatMap((mode) =>
      [undefined, "k"].flatMap((kernel) =>
        [undefined, "r"].flatMap((repo) =>
          [true, false].map((externalSources) => ({
            [mode === "bare-metal" ? "bareMetal" : mode]: true,
            kernel,
            repo,
            externalSources,
            mirrors,
          })),
        ),
      ),
    );
    const withPayload = raws.map(checkOptions).filter(hasPayload);
    expect(withPayload.map(({ mode }) => mode)).toEqual(["qemu", "bare-metal"]);
    for (const options of withPayload) {
      expect(formOf(options)).toBe("kernel-bootstrap");
      expect([options.externalSources, options.repo, options.kernel]).toEqual([true, undefined, undefined]);
    }
  });
});
