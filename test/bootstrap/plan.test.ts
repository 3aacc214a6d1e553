import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Checkout, readCheckout } from "../../src/bootstrap/checkout.ts";
import { KICK_OFF } from "../../src/bootstrap/first-image.ts";
import { checkOptions, type RawOptions } from "../../src/bootstrap/options.ts";
import { planBootstrap, refuseBrokenLimits } from "../../src/bootstrap/plan.ts";
import { type PlanFacts, readPlanFacts } from "../../src/bootstrap/plan-facts.ts";
import { planText } from "../../src/bootstrap/plan-text.ts";
import { prepareBootstrap } from "../../src/bootstrap/prepare.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { encodeSrcfsCommand, encodeSrcLine } from "../../src/formats/srcfs.ts";
import { makeSmallTree, SMALL_TREE_EARLY, SMALL_TREE_LATE, SMALL_TREE_PRE_NETWORK, type SmallTreeOptions } from "./small-tree.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-plan-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;
async function tree(options: SmallTreeOptions): Promise<string> {
  count += 1;
  return (await makeSmallTree(join(folder, `tree-${count}`), options)).root;
}

/** The tree as it is, for whoever changes nothing in it. */
let shared: Promise<string> | undefined;
const plain = (): Promise<string> => {
  shared ??= tree({});
  return shared;
};

const PAYLOAD: RawOptions = { qemu: true, externalSources: true };

async function read(root: string, raw: RawOptions) {
  const options = checkOptions({ mirrors: ["http://m"], ...raw });
  const [checkout, facts] = await Promise.all([readCheckout(root, quietJob), readPlanFacts(join(root, "distfiles"), options, quietJob)]);
  return { options, checkout, facts };
}

async function plan(root: string, raw: RawOptions, change: (facts: PlanFacts, checkout: Checkout) => Partial<PlanFacts> = () => ({})) {
  const { options, checkout, facts } = await read(root, raw);
  return planBootstrap(checkout, options, { ...facts, ...change(facts, checkout) });
}

async function refusal(promise: Promise<unknown>): Promise<HiperisoError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof HiperisoError && error.kind === "usage") return error;
    throw error;
  }
  throw new Error("not refused");
}

const names = (files: readonly { readonly name: string }[]): readonly string[] => files.map(({ name }) => name);

describe("a plan with a payload", () => {
  test("says what goes where and what the target gets that the checkout has not", async () => {
    const made = await plan(await plain(), PAYLOAD);
    expect(made).toMatchObject({ mode: "qemu", form: "kernel-bootstrap", payload: true, manifestChanged: true });
    expect([names(made.early), names(made.late), made.network]).toEqual([
      SMALL_TREE_EARLY,
      [...SMALL_TREE_PRE_NETWORK.filter((name) => !SMALL_TREE_EARLY.includes(name)), ...SMALL_TREE_LATE],
      [],
    ]);
    expect(made.import).toMatchObject({ after: "jump: fiwix", decidedBy: "default" });
    expect(made.additions.map(({ path, guestFile }) => [path, guestFile])).toEqual([
      ["steps/payload-import-1.0/pass1.kaem", "payload-import/steps/payload-import-1.0/pass1.kaem"],
      ["steps/payload-import-1.0/src/payload-import.c", "payload-import/payload-import.c"],
      ["steps/improve/import_payload.sh", "payload-import/steps/improve/import_payload.kaem"],
    ]);
    expect(made.story.steps.map(({ directive, name }) => `${directive}: ${name}`).slice(0, 7)).toEqual([
      "build: sum-1.0",
      "build: seed-cc-0.1",
      "build: small-kernel-1.0",
      "build: payload-import-1.0",
      "jump: fiwix",
      "improve: import_payload",
      "improve: reconfigure",
    ]);
    expect(made.configuration).toContain("PAYLOAD_REQUIRED=True\n");
    expect(made.disks).toMatchObject([
      { name: "init.img", kind: "boot-sector-and-sources" },
      { name: "external.img", kind: "payload-container", partitionOffsetBytes: 0 },
    ]);
    expect(made.limits.filter(({ ok }) => ok !== true)).toEqual([]);
    expect(made.warnings).toEqual(["steps/late-2.0/sources: the last line has no newline, so the guest will not see it."]);
  });

  test("takes the step for bash where bash reads it", async () => {
    const made = await plan(await plain(), { ...PAYLOAD, importAfter: "jump: linux" });
    expect(made.additions.at(-1)).toMatchObject({ guestFile: "payload-import/steps/improve/import_payload.bash" });
    expect(made.story.steps.find(({ name }) => name === "import_payload")).toMatchObject({ interpreter: "bash" });
  });

  test("uses a checkout as it is that has the import already", async () => {
    const made = await plan(await tree({ withPayloadStep: true }), PAYLOAD);
    expect(made).toMatchObject({ manifestChanged: false, additions: [], import: { decidedBy: "manifest" } });
    expect(names(made.early)).toEqual(SMALL_TREE_EARLY);
  });

  test("adds the step where a checkout has the line alone, and the package where it has its build alone", async () => {
    const root = await tree({ withPayloadStep: true, files: { "steps/improve/import_payload.sh": undefined } });
    expect((await plan(root, PAYLOAD)).additions.map(({ path }) => path)).toEqual(["steps/improve/import_payload.sh"]);
    const bare = await tree({
      withPayloadStep: true,
      files: { "steps/payload-import-1.0/src/payload-import.c": undefined, "steps/payload-import-1.0/pass1.kaem": undefined },
    });
    rmSync(join(bare, "steps/payload-import-1.0"), { recursive: true });
    expect((await plan(bare, PAYLOAD)).additions.map(({ path }) => path)).toEqual([
      "steps/payload-import-1.0/pass1.kaem",
      "steps/payload-import-1.0/src/payload-import.c",
    ]);
  });

  test("has a container of known size: lengths, names, bytes, and zeros to a whole KiB", async () => {
    const { late, disks } = await plan(await plain(), PAYLOAD);
    const bytes = late.reduce((sum, { name, sizeBytes }) => sum + 8 + Buffer.byteLength(name) + sizeBytes!, 12);
    expect(disks[1]).toMatchObject({ contentBytes: bytes, unknownFiles: 0, sizeBytes: Math.ceil(bytes / 1024) * 1024 });
  });
});

describe("a plan without a payload", () => {
  test.each<[string, RawOptions, readonly string[]]>([
    ["kernel bootstrap", { qemu: true }, ["init.img boot-sector-and-sources"]],
    ["a repo", { bareMetal: true, repo: "." }, ["init.img boot-sector-and-sources", "external.img ext3"]],
    ["a given kernel", { qemu: true, kernel: "k", externalSources: true }, ["disk.img ext3"]],
    ["chroot", { chroot: true, externalSources: true }, []],
    ["bwrap", { bwrap: true }, []],
  ])("of %s adds nothing to the tree", async (_, raw, disks) => {
    const root = await plain();
    const made = await plan(root, { ...raw, ...(raw.repo === undefined ? {} : { repo: root }) });
    expect(made).toMatchObject({ payload: false, manifestChanged: false, additions: [] });
    expect(made.import).toBeUndefined();
    expect(made.disks.map(({ name, kind }) => `${name} ${kind}`)).toEqual(disks);
    expect(names([...made.early, ...made.late, ...made.network])).toEqual([...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE]);
    expect(made.configuration).toContain("PAYLOAD_REQUIRED=False\n");
  });

  test("copies strays where the original copies the whole folder, and nowhere else", async () => {
    const root = await tree({ files: { "distfiles/stray.tar": "x" } });
    expect((await plan(root, { chroot: true, externalSources: true })).strays).toEqual({ names: ["stray.tar"], copied: true });
    expect((await plan(root, { chroot: true })).strays).toEqual({ names: ["stray.tar"], copied: false });
    expect((await plan(root, PAYLOAD)).strays).toEqual({ names: ["stray.tar"], copied: false });
  });
});

describe("the first image's size", () => {
  test("is what its parts come to, to the byte", async () => {
    const root = await plain();
    const { checkout, options, facts } = await read(root, { qemu: true, targetSize: "1" });
    const { disks, configuration, manifest, early } = planBootstrap(checkout, options, facts);
    // Counted once more, from the rules: path in the guest → size.
    const files = new Map<string, number | undefined>();
    const inSeed = checkout.files.filter(({ path }) => path.startsWith("seed/stage0-posix/"));
    for (const { path, kind, sizeBytes } of inSeed) {
      const name = path.slice("seed/stage0-posix/".length);
      if (!/^bootstrap-seeds(\/|$)/.test(name)) files.set(name, kind === "file" ? sizeBytes : undefined);
    }
    for (const { path, kind, sizeBytes } of checkout.files) {
      if (/^seed\/[^/]+$/.test(path) && kind === "file") files.set(path.slice(5), sizeBytes);
      if (/^steps(\/|$)/.test(path)) files.set(path, kind === "file" ? sizeBytes : undefined);
    }
    files.set("steps/bootstrap.cfg", configuration.length);
    files.set("steps/manifest", manifest.length);
    files.set("external", undefined).set("external/distfiles", undefined);
    for (const { name, sizeBytes } of early) files.set(`external/distfiles/${name}`, sizeBytes);
    let bytes = 175 * 512 + encodeSrcLine("", 0n).length;
    for (const [path, size] of files) if (!path.includes(".git")) bytes += encodeSrcLine(path, BigInt(size ?? 0)).length + (size ?? 0);
    for (const command of KICK_OFF) bytes += encodeSrcfsCommand(command).length;
    const mebibyte = 1024 * 1024;
    expect(disks).toMatchObject([{ name: "init.img", sizeBytes: (Math.floor(bytes / mebibyte) + 1) * mebibyte, unknownFiles: 0 }]);
    expect(files.has("Odd names/ü.txt")).toBe(true);
  });

  test("with a preseed is a lower bound: what is in it is not known", async () => {
    const { disks, story } = await plan(await plain(), { qemu: true, earlyPreseed: "p.tar" });
    expect(disks[0]).toMatchObject({ unknownFiles: 1 });
    expect(story.steps[0]).toMatchObject({ interpreter: "bash", script: "/steps/2.sh" });
  });

  test("is filled up to the target's size, and a lower bound where sizes are not known", async () => {
    const root = await tree({ distfiles: [] });
    const { disks, warnings, early } = await plan(root, { qemu: true, targetSize: "64M" });
    expect(disks[0]!.sizeBytes).toBeUndefined();
    expect(disks[0]).toMatchObject({ contentBytes: 1024 * 1024, unknownFiles: early.length });
    expect(warnings.join("\n")).toContain(`${early.length} of ${early.length} files are not in the folder of distfiles`);
    expect((await plan(await plain(), { qemu: true, targetSize: "64M" })).disks[0]!.sizeBytes).toBe(64 * 1024 * 1024);
  });
});

test("the disks that are made have the planned sizes", async () => {
  const root = await plain();
  const { checkout, options, facts } = await read(root, { ...PAYLOAD, targetSize: "1" });
  const made = planBootstrap(checkout, options, facts);
  const target = join(folder, "target");
  await prepareBootstrap({ plan: made, checkout, tree: root, distfiles: join(root, "distfiles"), target, env: {} }, quietJob);
  expect(made.disks.map(({ name }) => [name, statSync(join(target, name)).size])).toEqual(
    made.disks.map(({ name, sizeBytes }) => [name, sizeBytes]),
  );
});

describe("limits", () => {
  const sized = (name: string, bytes: number) => (facts: PlanFacts) => ({ distfiles: new Map([...facts.distfiles, [name, bytes]]) });
  const MIB = 1024 * 1024;

  test.each<[string, RawOptions, string, number]>([
    ["bytes of all files", { qemu: true, repo: "." }, "seed-cc-0.1.tar.gz", 1664 * MIB],
    ["files beside the memory disk", { qemu: true }, "seed-cc-0.1.tar.gz", 315 * MIB],
    ["first image below the partition", { qemu: true }, "seed-cc-0.1.tar.gz", 1024 * MIB],
    ["longest file", { qemu: true }, "seed-cc-0.1.tar.gz", 4096 * MIB],
    ["content of disk.img", { qemu: true, kernel: "k", targetSize: "2G" }, "seed-cc-0.1.tar.gz", 1024 * MIB],
    ["payload disk under Fiwix", { ...PAYLOAD, importAfter: "jump: fiwix" }, "late-1.0.tar.gz", 4096 * MIB],
  ])("%s: media are refused, with the numbers", async (name, raw, file, bytes) => {
    const root = await plain();
    const options = { ...raw, ...(raw.repo === undefined ? {} : { repo: join(root, "steps") }) };
    const made = await plan(root, options, sized(file, bytes));
    expect(made.limits.find((limit) => limit.name === name)).toMatchObject({ ok: false, stops: true });
    expect(() => refuseBrokenLimits(made)).toThrow(name);
    expect(planText(made)).toMatch(new RegExp(`BROKEN +${name}`));
    const small = await plan(root, options);
    expect(small.limits.find((limit) => limit.name === name)).toMatchObject({ ok: true });
    refuseBrokenLimits(small);
  });

  test("the sector of the source file system has to be the one in the code of stage 2", async () => {
    const { options, checkout, facts } = await read(await plain(), { qemu: true });
    const longer = { ...checkout, bootSector: { ...checkout.bootSector!, stage2: `${checkout.bootSector!.stage2}${"#".repeat(512)}\n` } };
    expect(planBootstrap(checkout, options, facts).limits[0]).toMatchObject({ value: 175, limit: 175, ok: true });
    expect(planBootstrap(longer, options, facts).limits[0]).toMatchObject({ value: 176, limit: 175, ok: false, stops: true });
    const none = { ...checkout, bootSector: { ...checkout.bootSector!, stage2: "# nothing\n" } };
    expect(planBootstrap(none, options, facts).limits[0]).toMatchObject({ value: 2, limit: 0, ok: false });
  });

  test("slots: more files than the first kernel has room for", async () => {
    const { options, checkout, facts } = await read(await plain(), { qemu: true });
    const many = Array.from({ length: 14_332 }, (_, index) => ({ path: `steps/x/${index}`, kind: "file" as const, sizeBytes: 0 }));
    const { limits } = planBootstrap({ ...checkout, files: [...checkout.files, ...many] }, options, facts);
    expect(limits.find(({ name }) => name === "file slots")).toMatchObject({ ok: false, stops: true });
  });

  test("names: one that is too long is refused, one with a newline by its path", async () => {
    const { options, checkout, facts } = await read(await plain(), { qemu: true });
    const withName = (name: string) => ({
      ...checkout,
      files: [...checkout.files, { path: `steps/${name}`, kind: "file" as const, sizeBytes: 1 }],
    });
    const long = planBootstrap(withName("n".repeat(1017)), options, facts).limits;
    expect(long.find(({ name }) => name === "longest name")).toMatchObject({ value: 1023, limit: 1022, ok: false });
    expect(planBootstrap(withName("n".repeat(1016)), options, facts).limits.every(({ ok }) => ok)).toBe(true);
    expect(() => planBootstrap(withName("a\nb"), options, facts)).toThrow(/newline/);
  });

  test("a configuration line that the guest cannot read whole", async () => {
    const made = await plan(await plain(), { qemu: true, mirrors: [`http://${"m".repeat(2040)}`] });
    expect(made.limits.at(-1)).toMatchObject({ name: "bootstrap.cfg, line of MIRRORS", ok: false, stops: true });
  });

  test("little memory and a small disk are warnings", async () => {
    const made = await plan(await plain(), { qemu: true, qemuRam: "2048", targetSize: "1G" });
    refuseBrokenLimits(made);
    expect(made.warnings.filter((warning) => warning.startsWith("Over a limit"))).toEqual([
      expect.stringMatching(/memory: 2048 MiB, at least 4096 MiB/),
      expect.stringMatching(/size of the first disk: 1024 MiB, at least 1025 MiB/),
    ]);
  });
});

describe("a checkout that lacks something", () => {
  test("is refused where that is needed, by name, with the command", async () => {
    const root = await tree({});
    rmSync(join(root, "builder-hex0"), { recursive: true });
    mkdirSync(join(root, "builder-hex0"));
    const error = await refusal(plan(root, { qemu: true }));
    expect(error).toMatchObject({ where: root, found: "empty folders: builder-hex0" });
    expect(error.hint).toBe(`This brings them: git -C ${root} submodule update --init --recursive`);
    expect((await plan(root, { chroot: true })).form).toBe("chroot");
  });

  test("needs the folder of its own architecture only", async () => {
    const root = await tree({});
    rmSync(join(root, "seed/stage0-posix/AMD64"), { recursive: true });
    expect((await plan(root, { qemu: true })).arch).toBe("x86");
    expect((await refusal(plan(root, { chroot: true, arch: "amd64" }))).found).toBe("empty folders: seed/stage0-posix/AMD64");
  });

  test("needs the seeds' binaries only where nothing makes them", async () => {
    const root = await tree({});
    rmSync(join(root, "seed/stage0-posix/bootstrap-seeds"), { recursive: true });
    expect((await plan(root, { qemu: true })).form).toBe("kernel-bootstrap");
    expect((await refusal(plan(root, { bwrap: true }))).found).toBe("empty folders: seed/stage0-posix/bootstrap-seeds");
    expect((await plan(root, { bwrap: true, earlyPreseed: "p.tar" })).form).toBe("bwrap");
  });

  test("is refused by the file where a submodule is not the reason", async () => {
    const root = await tree({ files: { "seed/stage0-posix/x86/hex0_x86.hex0": undefined } });
    expect((await refusal(plan(root, { qemu: true }))).found).toBe("not there: seed/stage0-posix/x86/hex0_x86.hex0");
  });

  test("has no steps of Guix", async () => {
    expect((await refusal(plan(await plain(), { qemu: true, buildGuixAlso: true }))).expected).toContain("steps-guix/manifest");
  });
});

describe("warnings", () => {
  test.each<[string, RawOptions, RegExp]>([
    ["another architecture", { chroot: true, arch: "amd64" }, /^Only x86 is supported/],
    ["a folder for a mirror", { qemu: true, mirrors: ["file:///srv"] }, /^A file:\/\/ mirror is served by this computer/],
    ["no configuration", { ...PAYLOAD, createConfig: false, importAfter: "jump: fiwix" }, /nothing is imported/],
    ["the configurator", { qemu: true, configurator: true }, /^--configurator/],
    ["a pass of the original's tests", { qemu: true, internalCi: "pass1" }, /^manifest:21: "jump: break" ends this run/],
    ["a preseed", { qemu: true, earlyPreseed: "p.tar" }, /^--early-preseed/],
    ["a disk that is not known", { bareMetal: true, externalSources: true }, /^On bare metal/],
    [
      "a place where it does not fit",
      { ...PAYLOAD, qemuRam: "1024", importAfter: "jump: linux" },
      /^Over a limit: root of Linux: 1\.32 GiB/,
    ],
  ])("%s", async (_, raw, warning) => {
    expect((await plan(await plain(), raw)).warnings).toEqual(expect.arrayContaining([expect.stringMatching(warning)]));
  });

  test("name what kaem cannot read in a step of the tree's own, where kaem reads it", async () => {
    const step = "set -e\npayload-import /external/distfiles || exit 1\n";
    const files = { "steps/improve/import_payload.sh": step };
    const { warnings } = await plan(await tree({ withPayloadStep: true, files }), PAYLOAD);
    expect(warnings).toEqual(
      expect.arrayContaining([expect.stringMatching(/^steps\/improve\/import_payload\.sh:2:\d+: kaem reads this step, and cannot: /)]),
    );
    const late = await plan(await tree({ files }), { ...PAYLOAD, importAfter: "jump: linux" });
    expect(late.warnings.join("\n")).not.toContain("kaem reads");
  });

  test("say that an import of the tree's own will not run", async () => {
    const made = await plan(await tree({ withPayloadStep: true }), { ...PAYLOAD, createConfig: false });
    expect(made.warnings).toEqual(expect.arrayContaining([expect.stringMatching(/^The import of the payload does not run/)]));
  });

  test("name steps that have nothing to run, and variables that nothing sets", async () => {
    const manifest =
      "build: sum-1.0\nbuild: sum-1.0\nimprove: nothing ( TYPO != x )\nbuild: bash-2.05b\nbuild: maker-1.2\nbuild: absent-1\n";
    const { warnings } = await plan(await tree({ files: { "steps/manifest": manifest } }), { chroot: true });
    expect(warnings).toEqual([
      "manifest:3: nothing sets TYPO; it is empty there.",
      'manifest:2: steps/sum-1.0/pass2.kaem is not in the checkout, so "build: sum-1.0" will fail.',
      'manifest:3: steps/improve/nothing.sh is not in the checkout, so "improve: nothing" will fail.',
      'manifest:6: steps/absent-1 is not in the checkout, so "build: absent-1" will fail.',
    ]);
  });
});

test("a plan is plain data", async () => {
  const made = await plan(await plain(), PAYLOAD);
  expect(JSON.parse(JSON.stringify(made))).toEqual(made);
});
