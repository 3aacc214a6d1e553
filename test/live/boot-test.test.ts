/** The boot-test stage, with somebody in QEMU's place: real boots are in test/real. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import { type SuiteRun, suiteResultSchema } from "../../src/contract/suite.ts";
import { lookForTool } from "../../src/host/tools.ts";
import type { Boots } from "../../src/live/boots.ts";
import { BASE_URL } from "../../src/live/medium/netboot-script.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { stageKind } from "../../src/live/stage.ts";
import { bootTestStage } from "../../src/live/stages/boot-test.ts";
import type { BootJob } from "../../src/suite/job.ts";
import { runJobs } from "../../src/suite/run-jobs.ts";

const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=", "base64");

const medium = (kind: string, files: Readonly<Record<string, string>>) =>
  stageKind({
    kind,
    revision: 1,
    options: z.strictObject({}),
    inputs: {},
    ingredients: async () => ({}),
    run: async (_options, { output }) => {
      for (const [name, content] of Object.entries(files)) await writeFile(join(output, name), content);
    },
  });
const MEDIA = [
  medium("an-iso", { "x.iso": "an image", "contents.json": '{ "file": "x.iso" }' }),
  medium("a-netboot", {
    vmlinuz: "k",
    "initrd.img": "i",
    "root.squashfs": "the root",
    "netboot.json": JSON.stringify({ arguments: [`hiperiso.fetch=${BASE_URL}root.squashfs`, "quiet"], initrd: "initrd.img" }),
  }),
  medium("nothing", {}),
];

let folder = "";
let booted: BootJob[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-boot-test-"));
  booted = [];
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const boots = (outcome: (job: BootJob) => Partial<SuiteRun> | Promise<Partial<SuiteRun>>): Boots => ({
  logDirectory: join(folder, "logs"),
  clock: { utc: () => "2026-01-01T00:00:00Z", monotonicMs: () => 0 },
  run: (jobs, { retries, signal }) =>
    runJobs(jobs, {
      capacity: { memoryMb: 4096, processors: 2, jobs: 2 },
      retries,
      signal,
      onEvent: () => {},
      runJob: async (job) => {
        booted.push(job);
        const session = join(folder, "logs", `s${booted.length}`);
        await mkdir(session, { recursive: true });
        await writeFile(join(session, "screen-goal.png"), PNG);
        const common = { status: "passed", why: "", session, result: "success", stage: "login", domain: "none", duration_ms: 5 } as const;
        return { ...common, ...(await outcome(job)) };
      },
    }),
});

const build = async (options: string, { from = "an-iso", by = boots(() => ({})) as Boots | null } = {}) => {
  await writeFile(
    join(folder, "spec.yaml"),
    `name: t\nepoch: 1767225600\nresult: { stage: test, file: results.json }\nstages:\n  medium: { kind: ${from} }\n  test: { kind: boot-test, inputs: { image: medium }, ${options} }\n`,
  );
  const kinds = [...MEDIA, bootTestStage(by ?? undefined)];
  return await buildPlan(join(folder, "spec.yaml"), { store: join(folder, "store"), env: process.env, kinds }, quietJob);
};

const hasQemu = (await lookForTool("qemu-system-x86_64", process.env)) !== undefined;

describe.skipIf(!hasQemu)("a boot-test stage", () => {
  test("boots its image in every combination, and keeps results and pictures", async () => {
    const { output } = await build("firmware: [bios, uefi], as: [cd, usb], ram: 384");
    expect(booted.map(({ id }) => id).sort()).toEqual(
      ["firmware=bios as=cd", "firmware=bios as=usb", "firmware=uefi as=cd", "firmware=uefi as=usb"].map((id) => `x.iso ${id}`),
    );
    expect(await readFile(booted[0]!.image!, "utf8")).toBe("an image");
    const text = await readFile(output, "utf8");
    const result = suiteResultSchema.parse(JSON.parse(text));
    expect(result).toMatchObject({ passed: 4, failed: 0 });
    // Where a store is on this computer is nobody's business.
    expect(text).not.toContain(join(folder, "store"));
    const made = await readdir(join(output, ".."));
    expect(made.sort()).toEqual(["results.html", "results.json", "results.xml", "screenshots"]);
    const pictures = z.record(z.string(), z.array(z.string())).parse(result["screenshots"]);
    expect(Object.keys(pictures)).toHaveLength(4);
    for (const path of Object.values(pictures).flat()) expect(await readFile(join(output, "..", path))).toEqual(PNG);
  });

  test("is not run again while image and scripts are the same", async () => {
    await writeFile(join(folder, "s.yaml"), "steps: [{ expect: login }]\n");
    await build("script: s.yaml");
    expect(booted).toHaveLength(1);
    expect(booted[0]?.script?.steps).toHaveLength(1);
    const again = await build("script: s.yaml");
    expect(again.stages.find(({ name }) => name === "test")?.reused).toBe(true);
    await writeFile(join(folder, "s.yaml"), "steps: [{ expect: other }]\n");
    const changed = await build("script: s.yaml");
    expect(changed.stages.find(({ name }) => name === "test")).toMatchObject({ reused: false, because: "changed: scripts" });
    expect(booted).toHaveLength(2);
  });

  test("fails where a boot does, names it, and is run the next time", async () => {
    const failing = boots(({ id }) =>
      id.includes("uefi") ? { status: "failed", why: "no_serial at firmware: silent", result: "no_serial" } : {},
    );
    const { tests } = await build("firmware: [bios, uefi]", { by: failing });
    expect(tests).toMatchObject([
      {
        stage: "test",
        passed: false,
        says: expect.stringMatching(
          /1 of 2 passed, 1 failed[\s\S]*FAILED {2}x.iso firmware=uefi[\s\S]*no_serial at firmware: silent/,
        ) as string,
      },
    ]);
    const { stages } = await build("firmware: [bios, uefi]");
    expect(stages.find(({ name }) => name === "test")?.reused).toBe(false);
  });

  test("tries again as often as it is told", async () => {
    let count = 0;
    const flaky = boots(() => (++count === 1 ? { status: "failed", why: "once" } : {}));
    const { output } = await build("retries: 1", { by: flaky });
    expect(JSON.parse(await readFile(output, "utf8"))).toMatchObject({ passed: 1, flaky: 1 });
  });

  test("boots a kernel whose root image is served while it boots, and no longer", async () => {
    let url = "";
    const fetching = boots(async ({ words }) => {
      const line = words.find((word) => word.startsWith("--append=")) ?? words[words.indexOf("--append") + 1] ?? "";
      url = /hiperiso\.fetch=(http:\/\/10\.0\.2\.2:\d+\/root\.squashfs) quiet/.exec(line)?.[1]?.replace("10.0.2.2", "127.0.0.1") ?? "";
      return (await (await fetch(url)).text()) === "the root" ? {} : { status: "failed", why: "other bytes" };
    });
    await build("firmware: bios", { from: "a-netboot", by: fetching });
    expect(booted[0]).toMatchObject({ image: null });
    await expect(fetch(url)).rejects.toThrow();
  });

  test.each([
    ["firmwar: bios", /spec\.yaml:6:\d+: unknown key "firmwar"/],
    ["image: other.iso", /unknown key "image"/],
    ["tests: [{ name: a, image: other.iso }]", /unknown key "image"/],
    ["retries: -1", /retries/],
    ["firmware: efi", /found firmware: expected one of uefi, bios, found "efi"/],
    ["script: missing.yaml", /missing\.yaml/],
  ])("refuses %s before anything is booted", async (options, says) => {
    await expect(build(options)).rejects.toThrow(says);
    expect(booted).toEqual([]);
  });

  test("boots no other stage's output, and says where nobody can boot", async () => {
    await expect(build("firmware: bios", { from: "nothing" })).rejects.toThrow(/expected the output of an iso, disk or netboot stage/);
    await expect(build("firmware: bios", { by: null })).rejects.toThrow(/hiperiso live build/);
  });
});
