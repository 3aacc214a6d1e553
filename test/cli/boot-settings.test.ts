import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { settle } from "../../src/cli/boot-settings.ts";

const env = { HOME: "/home/ann" };
let folder: string;
let config: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  config = join(folder, "hiperiso.json");
  await writeFile(
    config,
    `{ "control": { "default_ram": 1000, "default_cpus": 3, "default_trace_level": "detailed" },
       "iso_overrides": { "windows*.iso": { "ram": 3000, "tpm": true, "dud": "/driver.img", "log_dir": "~/boots" } } }`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

describe("precedence", () => {
  test.each([
    ["default", "linux.iso", {}, undefined, 2048],
    ["control", "linux.iso", {}, "config", 1000],
    ["override over control", "windows11.iso", {}, "config", 3000],
    ["flag over override", "windows11.iso", { guestRam: 64 }, "config", 64],
    ["flag over default", "linux.iso", { guestRam: 64 }, undefined, 64],
  ] as const)("%s", async (_, image, said, given, guestRam) => {
    const { settings } = await settle(image, said, given === undefined ? undefined : config, env);
    expect(settings.guestRam).toBe(guestRam);
  });

  test("each setting for itself", async () => {
    const { settings } = await settle("/isos/windows11.iso", { guestRam: 64 }, config, env);
    expect(settings).toMatchObject({
      iso: "/isos/windows11.iso",
      guestRam: 64,
      guestCpus: 3,
      traceLevel: "detailed",
      tpm: true,
      vga: "std",
    });
  });
});

describe("where sessions go", () => {
  test.each([
    ["the XDG state folder", {}, undefined, "/home/ann/.local/state/hiperiso/logs"],
    ["the configuration", {}, "config", "/home/ann/boots"],
    ["the flag", { logDir: "/logs" }, "config", "/logs"],
    ["the flag, from the working directory", { logDir: "logs" }, undefined, join(process.cwd(), "logs")],
  ] as const)("%s", async (_, said, given, logDir) => {
    expect((await settle("windows11.iso", said, given === undefined ? undefined : config, env)).settings.logDir).toBe(logDir);
  });
});

describe("what is not built yet", () => {
  test("is a warning where a default or a configuration asks for it", async () => {
    const { warnings } = await settle("windows11.iso", {}, config, env);
    expect(warnings).toEqual([expect.stringMatching(/^dud=\/driver\.img is not built yet/)]);
    const byDefault = await settle("linux.iso", {}, undefined, env);
    expect(byDefault.warnings).toEqual([]);
    expect(byDefault.notes).toEqual([]);
  });

  test("stops where a flag does, even if the configuration says the same", async () => {
    await expect(settle("windows11.iso", { dud: "/other.img" }, config, env)).rejects.toMatchObject({ kind: "usage" });
    await expect(settle("linux.iso", { dud: "/other.img" }, undefined, env)).rejects.toMatchObject({ kind: "usage" });
  });
});

test("what is wrong in a configuration is told by line and column, and stops nothing", async () => {
  const path = join(folder, "odd.json");
  await writeFile(path, '{\n  "control": { "default_rma": 5, "default_ram": 777 }\n}');
  const { settings, warnings } = await settle("linux.iso", { traceLevel: "none" }, path, env);
  expect(settings.guestRam).toBe(777);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/odd\.json:2:\d+: .*default_rma/);
});

test("a configuration that cannot be read stops", async () => {
  await expect(settle("linux.iso", {}, join(folder, "missing.json"), env)).rejects.toMatchObject({ kind: "usage" });
});
