import { describe, expect, test } from "vitest";
import { HANDOVER_BYTES, HANDOVER_USED_BYTES, MEMORY_DISK_BYTES } from "../../src/bootstrap/limits.ts";
import { parseManifest } from "../../src/bootstrap/manifest.ts";
import { checkOptions, type RawOptions } from "../../src/bootstrap/options.ts";
import { placeImport } from "../../src/bootstrap/placement.ts";
import { parseSources } from "../../src/bootstrap/source-list.ts";
import { HiperisoError } from "../../src/contract/error.ts";

const MIB = 1024 * 1024;
const HANDOVER_ROOM = HANDOVER_BYTES - HANDOVER_USED_BYTES;

const MANIFEST = `build: cc-1
jump: fiwix ( KERNEL_BOOTSTRAP == True )
build: bash-2.05b
improve: clean_sources
build: linux-4.14
jump: linux ( CHROOT == False )
jump: move_disk ( KERNEL_BOOTSTRAP == True )
improve: get_network
build: gcc-15
improve: after
`;
const PACKAGES = { "cc-1": "cc", "bash-2.05b": "bash", "linux-4.14": "linux", "gcc-15": "gcc" };
const SMALL = { cc: 1000, bash: 1000, linux: 1000, gcc: 1000 };

function place(sizes: Readonly<Record<string, number>>, raw: RawOptions = {}, manifest = MANIFEST, treeBytes = 5 * MIB) {
  const sources = new Map(
    Object.entries(PACKAGES).map(([name, file]) => [name, parseSources(`f http://x/${file} ${"0".repeat(64)}\n`, `steps/${name}/sources`)]),
  );
  const options = checkOptions({ qemu: true, externalSources: true, mirrors: ["http://m"], ...raw });
  const facts = {
    sizes: new Map(Object.entries(sizes)),
    treeBytes,
    configuration: [
      ["KERNEL_BOOTSTRAP", "True"],
      ["CHROOT", "False"],
    ] as const,
  };
  return placeImport({ manifest: parseManifest(manifest, "steps/manifest"), sources }, options, facts);
}

function refusal(run: () => unknown): HiperisoError {
  try {
    run();
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("the import", () => {
  test("stands right behind jump: fiwix where everything fits, and its package is built before that jump", () => {
    const { manifest, placement, limits } = place(SMALL);
    expect(manifest.text).toBe(
      MANIFEST.replace(
        /^jump: fiwix.*$/m,
        "build: payload-import-1.0 ( KERNEL_BOOTSTRAP == True )\n$&\nimprove: import_payload ( KERNEL_BOOTSTRAP == True )",
      ),
    );
    expect(placement).toMatchObject({ line: 4, after: "jump: fiwix", decidedBy: "default", passedOver: [] });
    expect(limits.map(({ name, ok, stops }) => [name, ok, stops])).toEqual([
      ["memory disk", true, true],
      ["hand-over area", true, true],
    ]);
  });

  test("to the byte: what the hand-over area holds is behind jump: fiwix, a byte more behind jump: linux", () => {
    expect(place({ ...SMALL, gcc: HANDOVER_ROOM }).placement.after).toBe("jump: fiwix");
    const { placement, limits } = place({ ...SMALL, gcc: HANDOVER_ROOM + 1 });
    expect(placement).toMatchObject({ after: "jump: linux", decidedBy: "fit" });
    expect(placement.because).toBe("the earliest place, and everything fits");
    expect(placement.passedOver).toHaveLength(1);
    expect(placement.passedOver[0]).toMatch(/^not behind "jump: fiwix": hand-over area: 195 MiB, at most 195 MiB/);
    expect(limits.map(({ name }) => name)).toEqual(["root of Linux"]);
  });

  test("files up to the network are in what the hand-over area holds anyway", () => {
    expect(place({ ...SMALL, linux: 100 * MIB }).placement.after).toBe("jump: fiwix");
  });

  test("what clean_sources removes is not handed over", () => {
    const text = MANIFEST.replace("build: gcc-15\n", "").replace("improve: get_network\n", "");
    const cleaned = text.replace("improve: clean", "improve: get_network\nbuild: gcc-15\nimprove: clean");
    expect(place({ ...SMALL, gcc: 100 * MIB }, {}, cleaned).placement.after).toBe("jump: fiwix");
    expect(place({ ...SMALL, gcc: 100 * MIB }, {}, cleaned.replace("improve: clean_sources\n", "")).placement.after).toBe("jump: linux");
  });

  test("to the byte: what the memory disk holds is behind jump: fiwix", () => {
    const noLinux = MANIFEST.replace(/^jump: linux.*\n/m, "");
    const gcc = MEMORY_DISK_BYTES - 5 * MIB - 3000;
    expect(place({ ...SMALL, gcc }, {}, noLinux).placement.after).toBe("jump: fiwix");
    expect(place({ ...SMALL, gcc: gcc + 1 }, {}, noLinux).placement.after).toBe("jump: move_disk");
  });

  test("of more than half the memory holds is behind jump: move_disk", () => {
    expect(place({ ...SMALL, gcc: 699 * MIB }).placement.after).toBe("jump: linux");
    expect(place({ ...SMALL, gcc: 700 * MIB }).placement).toMatchObject({ after: "jump: move_disk", decidedBy: "fit" });
    expect(place({ ...SMALL, gcc: 700 * MIB }, { qemuRam: "8192" }).placement.after).toBe("jump: linux");
  });

  test("that fits nowhere stands last, and stops", () => {
    const { placement, limits } = place({ ...SMALL, gcc: 20_000 * MIB });
    expect(placement).toMatchObject({ after: "jump: move_disk", because: "the last place" });
    expect(limits).toMatchObject([{ name: "partition of the target", ok: false, stops: true }]);
  });

  test("of unknown sizes counts them as too large, and says so", () => {
    const { gcc: _, ...unknown } = SMALL;
    const { placement, limits } = place(unknown);
    expect(placement).toMatchObject({ after: "jump: move_disk", because: "the last place, if what is not known fits" });
    expect(placement.passedOver).toHaveLength(2);
    for (const reason of placement.passedOver) expect(reason).toMatch(/sizes that are not known count as too large$/);
    expect(limits).toMatchObject([{ name: "partition of the target", ok: null, unknown: 1 }]);
  });

  test("on bare metal has no limit behind jump: move_disk: the disk is not known", () => {
    expect(place({ ...SMALL, gcc: 20_000 * MIB }, { qemu: false, bareMetal: true })).toMatchObject({
      placement: { after: "jump: move_disk", because: "the earliest place, and everything fits" },
      limits: [],
    });
  });

  test("only stands behind jumps that run", () => {
    const text = MANIFEST.replace("( KERNEL_BOOTSTRAP == True )", "( KERNEL_BOOTSTRAP == False )");
    expect(place(SMALL, {}, text).placement.after).toBe("jump: linux");
    // With a preseed nothing before the first bash runs.
    expect(place(SMALL, { earlyPreseed: "p.tar" }).placement.after).toBe("jump: linux");
  });

  test("needs a kernel that reads disks", () => {
    for (const raw of [{}, { importAfter: "cc-1" }])
      expect(refusal(() => place(SMALL, raw, "build: cc-1\njump: linux\nimprove: after\n")).expected).toContain("jump: fiwix");
  });
});

describe("a manifest with an import of its own", () => {
  const own = MANIFEST.replace("build: gcc-15", "improve: import_payload ( KERNEL_BOOTSTRAP == True )\nbuild: gcc-15");

  test("is left as it is", () => {
    const { manifest, placement, limits } = place(SMALL, {}, own);
    expect(manifest.text).toBe(own);
    expect(placement).toEqual({ line: 9, decidedBy: "manifest", because: "line 9 of the tree's own manifest says so", passedOver: [] });
    expect(limits).toMatchObject([{ name: "partition of the target", ok: true, stops: false }]);
  });

  test("that asks too much is a warning and no refusal", () => {
    const early = MANIFEST.replace("build: bash", "improve: import_payload\nbuild: bash");
    expect(place({ ...SMALL, gcc: 100 * MIB }, {}, early).limits).toMatchObject([
      { name: "memory disk", ok: true },
      { name: "hand-over area", ok: false, stops: false },
    ]);
    const tooEarly = `improve: import_payload\n${MANIFEST}`;
    expect(place(SMALL, {}, tooEarly).limits).toMatchObject([
      { name: "line of the import", value: 1, bound: "at least", limit: 4, ok: false },
    ]);
  });

  test("takes no --import-after", () => {
    expect(refusal(() => place(SMALL, { importAfter: "jump: linux" }, own)).where).toBe("steps/manifest:9");
  });
});

describe("--import-after", () => {
  test.each([
    ["jump: linux", 8],
    ["linux", 8],
    ["gcc-15", 11],
    ["9", 11],
    ["build: bash-2.05b", 5],
  ])("%s puts it there", (importAfter, line) => {
    const { placement, manifest } = place(SMALL, { importAfter });
    expect(placement).toMatchObject({ line, decidedBy: "forced" });
    expect(manifest.lines.find((one) => one.name === "import_payload")!.line).toBe(line);
  });

  test("warns with the numbers where it does not fit", () => {
    expect(place({ ...SMALL, gcc: 100 * MIB }, { importAfter: "jump: fiwix" }).limits).toMatchObject([
      { ok: true },
      { name: "hand-over area", value: HANDOVER_USED_BYTES + 100 * MIB, limit: HANDOVER_BYTES, ok: false, stops: false },
    ]);
  });

  test.each([
    ["jump: windows", /which is none/],
    ["99", /which is none/],
    ["cc-1", /"build: cc-1" in line 1/],
  ])("%s is refused", (importAfter, found) => {
    expect(refusal(() => place(SMALL, { importAfter })).found).toMatch(found);
  });

  test("of a step that stands in several lines wants the number of one", () => {
    const twice = MANIFEST.replace("build: gcc-15", "build: gcc-15\nbuild: gcc-15");
    const error = refusal(() => place(SMALL, { importAfter: "gcc-15" }, twice));
    expect([error.found, error.hint]).toEqual(['"gcc-15", which stands in lines 9, 10', "Give the number of the line."]);
    expect(place(SMALL, { importAfter: "10" }, twice).placement.line).toBe(12);
  });
});
