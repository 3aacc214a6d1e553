import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeConfiguration, encodeConfiguration } from "../../src/bootstrap/configuration.ts";
import { CONFIGURATION_NAMES } from "../../src/bootstrap/configuration-names.ts";
import { checkOptions, hasPayload, MODES, type RawOptions } from "../../src/bootstrap/options.ts";

const mirrors = ["http://a", "https://b/c"];
const written = (raw: RawOptions): string => {
  const options = checkOptions({ mirrors, ...raw });
  return encodeConfiguration(options, options.mirrors);
};

describe("bootstrap.cfg", () => {
  test("of a chroot", () => {
    expect(written({ chroot: true, arch: "amd64", forceTimestamps: true, cores: "8", internalCi: "pass1", swap: "5G" })).toBe(
      `ARCH=amd64
ARCH_DIR=AMD64
FORCE_TIMESTAMPS=True
CHROOT=True
UPDATE_CHECKSUMS=False
JOBS=8
SWAP_SIZE=0
FINAL_JOBS=8
INTERNAL_CI=pass1
INTERACTIVE=False
PAYLOAD_REQUIRED=False
QEMU=False
BARE_METAL=False
DISK=sda1
KERNEL_BOOTSTRAP=False
BUILD_KERNELS=False
CONFIGURATOR=False
MIRRORS="http://a https://b/c"
MIRRORS_LEN=2
`,
    );
  });

  test("of a bootstrap with a payload names no mirrors and the whole first disk", () => {
    expect(written({ qemu: true, externalSources: true, interactive: true, swap: "1G", updateChecksums: true, configurator: true })).toBe(
      `ARCH=x86
ARCH_DIR=x86
FORCE_TIMESTAMPS=False
CHROOT=False
UPDATE_CHECKSUMS=True
JOBS=2
SWAP_SIZE=1024
FINAL_JOBS=2
INTERNAL_CI=False
INTERACTIVE=True
PAYLOAD_REQUIRED=True
QEMU=True
BARE_METAL=True
DISK=sda
KERNEL_BOOTSTRAP=True
BUILD_KERNELS=True
CONFIGURATOR=True
`,
    );
  });

  test.each<[RawOptions, string]>([
    [{ qemu: true }, "sda"],
    [{ qemu: true, externalSources: true }, "sda"],
    [{ qemu: true, repo: "r" }, "sdb1"],
    [{ bareMetal: true, repo: "r", externalSources: true }, "sdb1"],
    [{ qemu: true, kernel: "k" }, "sda1"],
    [{ bareMetal: true, kernel: "k", repo: "r" }, "sda1"],
    [{ bwrap: true, repo: "r" }, "sda1"],
  ])("of %o installs on %s", (raw, disk) => {
    expect(written(raw)).toContain(`\nDISK=${disk}\nKERNEL_BOOTSTRAP=`);
  });

  test("names Guix only where it is built", () => {
    expect(written({ qemu: true })).not.toContain("GUIX");
    expect(written({ qemu: true, buildGuixAlso: true })).toContain("\nBUILD_GUIX_ALSO=True\n");
  });

  test("is empty where none was wanted", () => {
    expect(written({ qemu: true, createConfig: false })).toBe("");
    expect(decodeConfiguration("")).toEqual([]);
  });

  test("is cut at the first = of a line", () => {
    expect(decodeConfiguration('A=1\nMIRRORS="http://a?b=c"\nC=\n')).toEqual([
      ["A", "1"],
      ["MIRRORS", '"http://a?b=c"'],
      ["C", ""],
    ]);
  });

  test("of any options says what the payload needs, in names that are known", () => {
    const raw = fc.record({
      mode: fc.constantFrom(...MODES),
      externalSources: fc.boolean(),
      interactive: fc.boolean(),
      buildGuixAlso: fc.boolean(),
      kernel: fc.option(fc.constant("k"), { nil: undefined }),
      repo: fc.option(fc.constant("r"), { nil: undefined }),
    });
    fc.assert(
      fc.property(raw, ({ mode, ...rest }) => {
        const options = checkOptions({ ...rest, [mode === "bare-metal" ? "bareMetal" : mode]: true, mirrors });
        const lines = decodeConfiguration(encodeConfiguration(options, mirrors));
        const values = new Map(lines);
        expect(values.size).toBe(lines.length);
        expect([...values.keys()].filter((name) => !CONFIGURATION_NAMES.has(name))).toEqual([]);
        expect(values.get("PAYLOAD_REQUIRED")).toBe(hasPayload(options) ? "True" : "False");
        expect(values.has("MIRRORS")).toBe(!options.externalSources);
      }),
    );
  });
});
